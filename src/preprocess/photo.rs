//! A decoded picture.

use crate::frame::{Frame, FrameError};

/// An upright picture, tightly packed RGB.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Photo {
    /// A picture of `width * height * 3` bytes.
    ///
    /// # Errors
    /// [`FrameError`] if a side is out of range or there are fewer bytes; surplus bytes are dropped.
    pub fn new(width: u32, height: u32, mut rgb: Vec<u8>) -> Result<Self, FrameError> {
        Frame::rgb(&rgb, width, height)?;
        rgb.truncate(width as usize * height as usize * 3);
        Ok(Self { width, height, rgb })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row, three bytes each.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels, to draw on.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// The pixels without a copy.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The picture as a frame.
    pub fn frame(&self) -> Frame<'_> {
        Frame::rgb(&self.rgb, self.width, self.height).expect("checked when the photo was made")
    }
}

impl std::fmt::Debug for Photo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Photo({}×{})", self.width, self.height)
    }
}
