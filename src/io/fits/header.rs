//! Headers: cards of 80 bytes in blocks of 2880, read with a tolerance that capture programs need.

/// Bytes of a block, of which a file is made: FITS standard 4.0, section 3.1.
pub(super) const BLOCK: usize = 2880;
/// Bytes of a card: the same, section 4.1.
pub(super) const CARD: usize = 80;
/// Bytes of a keyword.
pub(super) const KEYWORD: usize = 8;
/// Most blocks of a header: 36,000 cards. The longest of telescopes have a tenth of it; a file without an end of
/// its header must not be taken for one altogether.
const MAX_BLOCKS: usize = 1000;

/// The value of a card.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text; trailing blanks mean nothing.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Real(f64),
    /// True or false.
    Logical(bool),
}

/// A keyword, its value and what the value means. `COMMENT` and `HISTORY` have their text as the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// Up to 8 of `A-Z 0-9 - _`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// For people; dropped or cut where the card has no room for it.
    pub comment: String,
}

impl Card {
    /// A card without a comment.
    #[must_use]
    pub fn new(key: &str, value: Value) -> Card {
        Card { key: key.to_owned(), value, comment: String::new() }
    }
}

/// The cards of a header that have a value; of those of the same keyword the first counts.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) cards: Vec<Card>,
    /// Bytes of the header in the file.
    pub(super) bytes: usize,
}

impl Header {
    /// Reads a header from blocks that `next` fills; it returns how many bytes there were.
    /// `None` where the file ends before it, or where what follows is no HDU.
    pub(super) fn read(
        mut next: impl FnMut(&mut [u8; BLOCK]) -> Result<usize, String>,
    ) -> Result<Option<Header>, String> {
        let (mut header, mut block) = (Header::default(), [0; BLOCK]);
        let mut continued = false;
        for blocks in 0..MAX_BLOCKS {
            let filled = next(&mut block)?;
            if blocks == 0 && !(block.starts_with(b"SIMPLE  ") || block.starts_with(b"XTENSION")) {
                return Ok(None);
            }
            if filled < BLOCK {
                return Err("truncated: it ends within a header: copy it again".into());
            }
            header.bytes += BLOCK;
            for card in block.chunks_exact(CARD) {
                if card.starts_with(b"END     ") {
                    return Ok(Some(header));
                }
                continued = header.push(card, continued);
            }
        }
        Err(format!("damaged: no end of the header within {MAX_BLOCKS} blocks"))
    }

    /// Adds a card, or its text to the last one where that is `continued`. Returns whether the next may go on with it.
    fn push(&mut self, card: &[u8], continued: bool) -> bool {
        let (key, field) = card.split_at(KEYWORD);
        let key = latin(key).trim_end().to_ascii_uppercase();
        if key == "CONTINUE" {
            return continued && self.append(field);
        }
        let Some((value, comment)) = valued(&key, field) else { return false };
        let more = matches!(&value, Value::Text(text) if text.ends_with('&'));
        self.cards.push(Card { key, value, comment });
        more
    }

    /// Goes on with the text of the last card, whose `&` gives way: FITS standard 4.0, section 4.2.1.2.
    fn append(&mut self, field: &[u8]) -> bool {
        let Some(Card { value: Value::Text(text), comment, .. }) = self.cards.last_mut() else {
            return false;
        };
        let Some((more, remark)) = quoted(latin(field).trim_start()) else { return false };
        text.pop();
        text.push_str(&more);
        if !remark.is_empty() {
            *comment = remark;
        }
        more.ends_with('&')
    }

    /// The value of `key`.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.cards.iter().find(|card| card.key == key).map(|card| &card.value)
    }

    /// The whole number that `key` states; programs write it with a decimal point too.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        match self.value(key)? {
            Value::Integer(number) => Some(*number),
            Value::Real(number) if number.fract() == 0.0 => Some(*number as i64),
            _ => None,
        }
    }

    /// The number that `key` states, if need be as text.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Real(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Value::Logical(_) => None,
        }
    }

    /// The text that `key` states, unless it is blank.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// Whether `key` is there and true.
    pub(super) fn says(&self, key: &str) -> bool {
        self.value(key) == Some(&Value::Logical(true))
    }
}

/// Bytes as text: what is not ASCII is taken for Latin-1, which every byte is in.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The value and comment behind the keyword `key`; `None` where there is no value, or none that makes sense.
fn valued(key: &str, field: &[u8]) -> Option<(Value, String)> {
    let field = latin(field);
    if key == "COMMENT" || key == "HISTORY" {
        return Some((Value::Text(field.trim_end().to_owned()), String::new()));
    }
    // Some leave out the blank behind the sign.
    let field = field.strip_prefix('=')?.trim_start();
    if field.starts_with('\'') {
        return quoted(field).map(|(text, comment)| (Value::Text(text), comment));
    }
    let (number, comment) = field.split_once('/').unwrap_or((field, ""));
    let number = number.trim();
    let value = match number {
        "T" => Value::Logical(true),
        "F" => Value::Logical(false),
        _ => match number.parse() {
            Ok(integer) => Value::Integer(integer),
            // FORTRAN's doubles have D for the exponent.
            Err(_) => Value::Real(
                number.replace(['D', 'd'], "E").parse().ok().filter(|real: &f64| real.is_finite())?,
            ),
        },
    };
    Some((value, comment.trim().to_owned()))
}

/// The text between quotes, a quote in it doubled, and the comment behind it.
fn quoted(field: &str) -> Option<(String, String)> {
    let mut text = String::new();
    let mut rest = field.strip_prefix('\'')?;
    loop {
        // A missing last quote costs the comment only.
        let (part, behind) = rest.split_once('\'').unwrap_or((rest, ""));
        text.push_str(part);
        let Some(next) = behind.strip_prefix('\'') else {
            let comment = behind.trim_start().strip_prefix('/').unwrap_or_default();
            return Some((text.trim_end().to_owned(), comment.trim().to_owned()));
        };
        text.push('\'');
        rest = next;
    }
}
