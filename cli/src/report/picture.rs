//! Pictures inside the page.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use image::codecs::jpeg::JpegEncoder;
#[cfg(test)]
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
use maud::{Markup, html};

/// A picture encoded once; clones share nothing but are cheap next to encoding again.
#[derive(Clone, Debug)]
pub struct Picture {
    source: String,
    width: u32,
    height: u32,
    alt: String,
}

impl Picture {
    /// As a JPEG no longer than `longest` pixels a side. `alt` is said in place of the picture.
    pub fn jpeg(picture: &RgbImage, longest: u32, quality: u8, alt: &str) -> anyhow::Result<Self> {
        let small = shrink(picture, longest);
        let picture = small.as_ref().unwrap_or(picture);
        let mut bytes = vec![];
        JpegEncoder::new_with_quality(&mut bytes, quality)
            .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
            .context("cannot encode a picture of the report as JPEG")?;
        Ok(Self::new("jpeg", &bytes, picture, alt))
    }

    /// As a PNG, without loss.
    #[cfg(test)]
    pub fn png(picture: &RgbImage, alt: &str) -> anyhow::Result<Self> {
        let mut bytes = vec![];
        PngEncoder::new(&mut bytes)
            .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
            .context("cannot encode a picture of the report as PNG")?;
        Ok(Self::new("png", &bytes, picture, alt))
    }

    fn new(kind: &str, bytes: &[u8], picture: &RgbImage, alt: &str) -> Self {
        let source = format!("data:image/{kind};base64,{}", STANDARD.encode(bytes));
        Self { source, width: picture.width(), height: picture.height(), alt: alt.to_owned() }
    }

    pub(super) fn render(&self, class: &str) -> Markup {
        html! { img class=(class) src=(self.source) width=(self.width) height=(self.height) alt=(self.alt) loading="lazy"; }
    }
}

/// The picture made smaller if a side is longer than allowed.
fn shrink(picture: &RgbImage, longest: u32) -> Option<RgbImage> {
    let long = picture.width().max(picture.height());
    if long <= longest {
        return None;
    }
    let side = |v: u32| ((u64::from(v) * u64::from(longest) / u64::from(long)) as u32).max(1);
    Some(imageops::thumbnail(picture, side(picture.width()), side(picture.height())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_pictures_come_back() {
        let red = RgbImage::from_pixel(300, 100, image::Rgb([220, 30, 30]));
        let check = |p: &Picture, size: (u32, u32)| {
            let (_, data) = p.source.split_once(',').unwrap();
            let back = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap().to_rgb8();
            assert_eq!(back.dimensions(), size);
            assert_eq!((p.width, p.height), size);
            assert!(back.get_pixel(10, 10).0[0] > 200);
        };
        check(&Picture::png(&red, "").unwrap(), (300, 100));
        check(&Picture::jpeg(&red, 1600, 80, "").unwrap(), (300, 100));
        check(&Picture::jpeg(&red, 60, 80, "").unwrap(), (60, 20));
        assert!(Picture::png(&RgbImage::new(0, 0), "").is_err());
    }
}
