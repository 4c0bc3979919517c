//! Pictures as the tests read, write and compare them: interleaved samples, row-major.

use image::{DynamicImage, ImageEncoder};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Samples `[height][width][channels]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture<T> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) data: Vec<T>,
}

impl<T: Copy> Picture<T> {
    pub(crate) fn new(width: usize, height: usize, channels: usize, data: Vec<T>) -> Picture<T> {
        assert_eq!(data.len(), width * height * channels);
        Picture { width, height, channels, data }
    }

    /// Sample `c` of pixel (`x`, `y`).
    pub(crate) fn at(&self, x: usize, y: usize, c: usize) -> T {
        self.data[(y * self.width + x) * self.channels + c]
    }

    pub(crate) fn map<U: Copy>(&self, f: impl Fn(T) -> U) -> Picture<U> {
        Picture::new(self.width, self.height, self.channels, self.data.iter().map(|v| f(*v)).collect())
    }

    /// Width, height, channels.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        (self.width, self.height, self.channels)
    }
}

/// An 8- or 16-bit PNG as levels, and its white level.
pub(crate) fn read_png(path: &Path) -> (Picture<f32>, f32) {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (w, h) = (image.width() as usize, image.height() as usize);
    let wide = |v: Vec<u16>| v.into_iter().map(f32::from).collect::<Vec<f32>>();
    let narrow = |v: Vec<u8>| v.into_iter().map(f32::from).collect::<Vec<f32>>();
    match image {
        DynamicImage::ImageLuma8(p) => (Picture::new(w, h, 1, narrow(p.into_raw())), 255.0),
        DynamicImage::ImageRgb8(p) => (Picture::new(w, h, 3, narrow(p.into_raw())), 255.0),
        DynamicImage::ImageLuma16(p) => (Picture::new(w, h, 1, wide(p.into_raw())), 65535.0),
        DynamicImage::ImageRgb16(p) => (Picture::new(w, h, 3, wide(p.into_raw())), 65535.0),
        other => panic!("{}: unexpected {:?}", path.display(), other.color()),
    }
}

/// An 8-bit PNG that a run has written.
pub(crate) fn read_png8(path: &Path) -> Picture<f32> {
    let (picture, white) = read_png(path);
    assert_eq!(white, 255.0, "{}: expected 8 bits", path.display());
    picture
}

/// A 32-bit float TIFF that a run has written.
pub(crate) fn read_tiff(path: &Path) -> Picture<f32> {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut decoder = tiff::decoder::Decoder::new(file).expect("TIFF");
    let (w, h) = decoder.dimensions().expect("size");
    let channels = usize::from(decoder.colortype().expect("colour").num_samples());
    match decoder.read_image().expect("samples") {
        tiff::decoder::DecodingResult::F32(data) => Picture::new(w as usize, h as usize, channels, data),
        _ => panic!("{}: expected 32-bit float", path.display()),
    }
}

/// A NumPy file of f32 `[h][w][3]`, blue green red, as red green blue.
pub(crate) fn read_npy(path: &Path) -> Picture<f32> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    // NumPy format 1.0: magic, version, a 16-bit length of the header, the header, the samples.
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let at = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..at]);
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).expect("shape");
    let sides: Vec<usize> = shape.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    let (pixels, _) = bytes[at..].as_chunks::<12>();
    let sample =
        |p: &[u8; 12], c: usize| f32::from_le_bytes([p[4 * c], p[4 * c + 1], p[4 * c + 2], p[4 * c + 3]]);
    let data = pixels.iter().flat_map(|p| [sample(p, 2), sample(p, 1), sample(p, 0)]).collect();
    Picture::new(sides[1], sides[0], sides[2], data)
}

/// Writes an 8-bit PNG.
pub(crate) fn write_png8(path: &Path, picture: &Picture<u8>) {
    write_png(path, picture, png::BitDepth::Eight, &picture.data, None);
}

/// Writes an 8-bit PNG with an EXIF block.
pub(crate) fn write_png8_exif(path: &Path, picture: &Picture<u8>, exif: Vec<u8>) {
    write_png(path, picture, png::BitDepth::Eight, &picture.data, Some(exif));
}

/// Writes a 16-bit PNG.
pub(crate) fn write_png16(path: &Path, picture: &Picture<u16>) {
    let bytes: Vec<u8> = picture.data.iter().flat_map(|v| v.to_be_bytes()).collect();
    write_png(path, picture, png::BitDepth::Sixteen, &bytes, None);
}

fn write_png<T>(path: &Path, p: &Picture<T>, depth: png::BitDepth, data: &[u8], exif: Option<Vec<u8>>) {
    let mut info = png::Info::with_size(p.width as u32, p.height as u32);
    info.color_type = if p.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb };
    info.bit_depth = depth;
    info.exif_metadata = exif.map(Into::into);
    let file = BufWriter::new(File::create(path).expect("create"));
    let mut encoder = png::Encoder::with_info(file, info).expect("header");
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().expect("header");
    writer.write_image_data(data).expect("samples");
    writer.finish().expect("end");
}

/// Writes a JPEG of quality 92, with an EXIF block where given.
pub(crate) fn write_jpeg(path: &Path, p: &Picture<u8>, exif: Option<Vec<u8>>) {
    let file = BufWriter::new(File::create(path).expect("create"));
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(file, 92);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).expect("JPEG takes EXIF");
    }
    let colour = if p.channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    encoder.write_image(&p.data, p.width as u32, p.height as u32, colour).expect("JPEG");
}

/// The largest difference of two pictures and the share of samples that differ by more than `tolerance`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Difference {
    pub(crate) most: f64,
    pub(crate) beyond: f64,
    pub(crate) samples: usize,
}

/// Compares the samples of the pixels that `chosen` says count.
#[track_caller]
pub(crate) fn difference(
    a: &Picture<f32>,
    b: &Picture<f32>,
    tolerance: f64,
    chosen: impl Fn(usize, usize) -> bool,
) -> Difference {
    assert_eq!(a.shape(), b.shape());
    let (mut most, mut over, mut samples) = (0.0_f64, 0_usize, 0_usize);
    for (k, (x, y)) in a.data.iter().zip(&b.data).enumerate() {
        let pixel = k / a.channels;
        if chosen(pixel % a.width, pixel / a.width) {
            let d = f64::from((x - y).abs());
            // Not a number is as wrong as it gets.
            let d = if d.is_nan() { f64::INFINITY } else { d };
            most = most.max(d);
            over += usize::from(d > tolerance);
            samples += 1;
        }
    }
    Difference { most, beyond: over as f64 / samples.max(1) as f64, samples }
}

/// Every pixel counts.
pub(crate) fn everywhere(_: usize, _: usize) -> bool {
    true
}

/// Whether two f32 stacks agree: `tolerance` of white on every sample.
#[track_caller]
pub(crate) fn same_stack(a: &Picture<f32>, b: &Picture<f32>, tolerance: f64) -> bool {
    difference(a, b, tolerance, everywhere).most <= tolerance
}

/// Whether two 8-bit pictures agree: within one level everywhere, equal on 99.9 %.
#[track_caller]
pub(crate) fn same_picture(a: &Picture<f32>, b: &Picture<f32>) -> bool {
    let d = difference(a, b, 0.0, everywhere);
    d.most <= 1.0 && d.beyond <= 1e-3
}
