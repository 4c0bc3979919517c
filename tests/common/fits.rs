//! FITS files made by hand.

/// Bytes of a block and of a card.
const BLOCK: usize = 2880;
const CARD: usize = 80;

/// A header: a card for each line of `cards`, `END`, and blanks to the end of the block.
pub(crate) fn header(cards: &str) -> Vec<u8> {
    let lines = cards.lines().map(str::trim).filter(|line| !line.is_empty()).chain(["END"]);
    let mut bytes: Vec<u8> = lines.flat_map(|line| format!("{line:CARD$}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
    bytes
}

/// Data, and zeros to the end of the block.
pub(crate) fn data(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// A card for each of the axes and `BITPIX`.
pub(crate) fn axes(bitpix: i64, axes: &[usize]) -> String {
    let mut cards = format!("BITPIX  = {bitpix}\nNAXIS   = {}\n", axes.len());
    for (axis, length) in axes.iter().enumerate() {
        cards.push_str(&format!("{:8}= {length}\n", format!("NAXIS{}", axis + 1)));
    }
    cards
}

/// A file of one image.
pub(crate) fn image(bitpix: i64, lengths: &[usize], cards: &str, numbers: &[u8]) -> Vec<u8> {
    let header = header(&format!("SIMPLE  = T\n{}{cards}", axes(bitpix, lengths)));
    [header, data(numbers)].concat()
}

/// A file with an empty primary HDU and a table of compressed tiles, whose rows are `row` bytes long.
pub(crate) fn tiled(row: usize, rows: usize, cards: &str, table: &[u8]) -> Vec<u8> {
    let heap = table.len() - row * rows;
    let extension = format!(
        "XTENSION= 'BINTABLE'\n{}PCOUNT  = {heap}\nGCOUNT  = 1\nZIMAGE  = T\n{cards}",
        axes(8, &[row, rows])
    );
    [header(&format!("SIMPLE  = T\n{}", axes(8, &[]))), header(&extension), data(table)].concat()
}
