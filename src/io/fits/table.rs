//! Binary tables, as far as compressed images are kept in them: FITS standard 4.0, section 7.3.

use super::header::Header;

/// Most columns: the same, section 7.2.1.
const MAX_COLUMNS: i64 = 999;
/// Bytes of a descriptor of an array: of 32-bit and of 64-bit numbers.
const NARROW: usize = 8;
const WIDE: usize = 16;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    name: String,
    /// Where it begins in a row, and its bytes there.
    at: usize,
    bytes: usize,
    /// The type of its values, or of the elements of its arrays.
    kind: char,
    /// Bytes of a descriptor, where its values are arrays in the heap.
    descriptor: Option<usize>,
}

/// Rows of values, and the heap with the arrays that some of them point to.
pub(super) struct Table<'a> {
    columns: Vec<Column>,
    row: usize,
    /// Rows there are.
    pub(super) rows: usize,
    data: &'a [u8],
    heap: &'a [u8],
}

impl<'a> Table<'a> {
    /// The table whose data, rows and heap, are `data`.
    pub(super) fn of(header: &Header, data: &'a [u8]) -> Result<Table<'a>, String> {
        let size = |key: &str| {
            let stated = header.integer(key).and_then(|size| usize::try_from(size).ok());
            stated.ok_or_else(|| format!("damaged: {key} of its table is missing or absurd"))
        };
        let (row, rows) = (size("NAXIS1")?, size("NAXIS2")?);
        let absurd = "damaged: its table is larger than its data";
        let end = row.checked_mul(rows).filter(|end| *end <= data.len()).ok_or(absurd)?;
        let heap = if header.value("THEAP").is_some() { size("THEAP")? } else { end };
        let heap = data.get(heap.max(end)..).ok_or(absurd)?;
        let columns = columns(header)?;
        if columns.last().is_some_and(|last| last.at + last.bytes > row) {
            return Err("damaged: the columns of its table are wider than a row".into());
        }
        Ok(Table { columns, row, rows, data, heap })
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Option<Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).cloned()
    }

    fn cell(&self, row: usize, column: &Column) -> &'a [u8] {
        &self.data[row * self.row + column.at..][..column.bytes]
    }

    /// The bytes of the array in `row`, which may be empty.
    pub(super) fn array(&self, row: usize, column: &Column) -> Result<&'a [u8], String> {
        let cell = self.cell(row, column);
        let element = match column.kind {
            'B' | 'A' | 'L' => 1,
            'I' => 2,
            'J' | 'E' => 4,
            'K' | 'D' => 8,
            other => return Err(format!("damaged: compressed data of type {other}")),
        };
        let (count, at) = match (column.descriptor, cell) {
            (Some(NARROW), [a, b, c, d, e, f, g, h]) => {
                let word = |bytes| u64::from(u32::from_be_bytes(bytes));
                (word([*a, *b, *c, *d]), word([*e, *f, *g, *h]))
            }
            (Some(WIDE), cell) if cell.len() == WIDE => {
                let word = |at: usize| cell[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                (word(0), word(NARROW))
            }
            _ => return Err(format!("damaged: column {} holds no arrays", column.name)),
        };
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(element));
        let array = usize::try_from(at).ok().and_then(|at| self.heap.get(at..)).zip(bytes);
        array
            .and_then(|(heap, bytes)| heap.get(..bytes))
            .ok_or_else(|| format!("damaged: tile {row} goes on behind the end of the data"))
    }

    /// The number in `row` of a column of numbers.
    pub(super) fn number(&self, row: usize, column: &Column) -> Option<f64> {
        let cell = self.cell(row, column);
        match (column.descriptor, column.kind) {
            (None, 'D') => cell.first_chunk().map(|bytes| f64::from_be_bytes(*bytes)),
            (None, 'E') => cell.first_chunk().map(|bytes| f64::from(f32::from_be_bytes(*bytes))),
            (None, 'J') => cell.first_chunk().map(|bytes| f64::from(i32::from_be_bytes(*bytes))),
            (None, 'I') => cell.first_chunk().map(|bytes| f64::from(i16::from_be_bytes(*bytes))),
            _ => None,
        }
    }
}

fn columns(header: &Header) -> Result<Vec<Column>, String> {
    let count = header.integer("TFIELDS").filter(|count| (1..=MAX_COLUMNS).contains(count));
    let count = count.ok_or("damaged: TFIELDS of its table is missing or absurd")?;
    let (mut columns, mut at) = (Vec::new(), 0_usize);
    for number in 1..=count {
        let form = header.text(&format!("TFORM{number}")).unwrap_or_default();
        let name = header.text(&format!("TTYPE{number}")).unwrap_or_default().to_owned();
        let column = column(name, at, form).ok_or_else(|| format!("damaged: TFORM{number} = {form:?}"))?;
        at = at.checked_add(column.bytes).ok_or("damaged: a column of absurd width")?;
        columns.push(column);
    }
    Ok(columns)
}

/// The column whose `TFORM` is `form`: how many, of which type, and for arrays the type of their elements.
fn column(name: String, at: usize, form: &str) -> Option<Column> {
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let (repeat, form) = form.split_at(digits);
    let repeat: usize = if repeat.is_empty() { 1 } else { repeat.parse().ok()? };
    let mut letters = form.chars();
    let kind = letters.next()?;
    let descriptor = match kind {
        'P' => Some(NARROW),
        'Q' => Some(WIDE),
        _ => None,
    };
    let bytes = match kind {
        'X' => repeat.div_ceil(8),
        'L' | 'B' | 'A' => repeat,
        'I' => repeat.checked_mul(2)?,
        'J' | 'E' => repeat.checked_mul(4)?,
        'K' | 'D' | 'C' | 'P' => repeat.checked_mul(NARROW)?,
        'M' | 'Q' => repeat.checked_mul(WIDE)?,
        _ => return None,
    };
    let kind = if descriptor.is_some() { letters.next()? } else { kind };
    Some(Column { name, at, bytes, kind, descriptor })
}
