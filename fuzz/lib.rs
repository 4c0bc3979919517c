//! What all targets ask of a reader.

use livestack::error::Error;
use livestack::io::decode_bytes;
use std::path::Path;

/// Feeds `bytes` to the readers under a file's `name`: a frame that is what it says, or an error in one line.
///
/// `contained`: a decoder may panic, which becomes an error (the crates that read RAW files do); else that is a finding.
pub fn check(name: &str, bytes: &[u8], contained: bool) {
    match decode_bytes(Path::new(name), bytes.to_vec(), Vec::new()) {
        Ok(frame) => {
            assert_eq!(frame.words.len(), frame.shape.words());
            assert!(frame.shape.width > 0 && frame.shape.height > 0);
            assert!(matches!((frame.shape.channels, frame.shape.mosaic), (1, _) | (3, None)));
            let sensor = &frame.sensor;
            assert!(sensor.matrix.iter().chain(&sensor.black).chain(&sensor.balance).all(|v| v.is_finite()));
        }
        Err(error @ Error::Decode { .. }) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "more than a line: {text}");
            assert!(contained || !text.contains("panicked"), "{text}");
        }
        Err(other) => panic!("no error of decoding: {other}"),
    }
}
