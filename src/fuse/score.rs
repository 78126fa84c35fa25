//! Evidence about one product to one probability.
//!
//! Each kind of evidence arrives as log-odds that the product is the right one (the encoders' calibration turns
//! cosines into them). Looks and words are taken as independent, so their log-odds add. A barcode decides: a product
//! named by a valid GTIN in the picture ranks above every product that only looks right.

use crate::encode::Calibration;

/// Floor for scores with a barcode.
const BARCODE_FLOOR: f32 = 0.99;

/// Ceiling for scores without one, clearly below that floor.
const LOOKS_CEILING: f32 = 0.98;

/// Log-odds beyond which a cosine says no more; keeps one kind of evidence from drowning the other.
const MAX_LOG_ODDS: f32 = 12.0;

/// What speaks for one product.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Log-odds from the picture, if one was given.
    pub image: Option<f32>,
    /// Log-odds from the words, if any were given.
    pub text: Option<f32>,
    /// A barcode in the picture, or typed as text, names this product.
    pub barcode: bool,
}

impl Evidence {
    /// Probability in `0..=1` that this is the product asked for: at least 0.99 with a barcode, at most 0.98 without.
    pub fn score(&self) -> f32 {
        let log_odds = match (self.image, self.text) {
            (None, None) => return if self.barcode { 1.0 } else { 0.0 },
            (image, text) => image.unwrap_or(0.0) + text.unwrap_or(0.0),
        };
        let looks = sigmoid(log_odds);
        if self.barcode { BARCODE_FLOOR + (1.0 - BARCODE_FLOOR) * looks } else { LOOKS_CEILING * looks }
    }

    /// Log-odds of all evidence together, for ordering where [`score`](Self::score) saturates.
    pub fn order(&self) -> f32 {
        let sum = self.image.unwrap_or(0.0) + self.text.unwrap_or(0.0);
        if self.barcode { sum + 1e3 } else { sum }
    }
}

/// Log-odds that a row with this cosine shows the product asked for.
pub fn log_odds(cosine: f32, calibration: &Calibration) -> f32 {
    let value = calibration.scale * cosine + calibration.bias;
    if value.is_nan() { -MAX_LOG_ODDS } else { value.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS) }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(image: Option<f32>, text: Option<f32>, barcode: bool) -> Evidence {
        Evidence { image, text, barcode }
    }

    #[test]
    fn a_barcode_outranks_looks() {
        let worst_with = evidence(Some(-12.0), Some(-12.0), true);
        let best_without = evidence(Some(12.0), Some(12.0), false);
        assert!(worst_with.score() > best_without.score());
        assert!(worst_with.order() > best_without.order());
        assert_eq!(evidence(None, None, true).score(), 1.0);
    }

    #[test]
    fn words_and_looks_add() {
        let both = evidence(Some(1.0), Some(2.0), false);
        assert!(both.score() > evidence(Some(1.0), None, false).score());
        assert!(both.score() > evidence(None, Some(2.0), false).score());
        assert_eq!(evidence(None, None, false).score(), 0.0);
    }

    #[test]
    fn scores_are_probabilities() {
        for cosine in [-1.0, 0.0, 1.0, f32::NAN, f32::INFINITY] {
            let odds = log_odds(cosine, &Calibration { scale: 40.0, bias: -20.0 });
            let score = evidence(Some(odds), None, false).score();
            assert!((0.0..=1.0).contains(&score), "{cosine} gives {score}");
        }
    }
}
