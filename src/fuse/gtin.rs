//! GTIN: the number under a barcode, of 8, 12, 13 or 14 digits, checked and brought to one form.
//!
//! Source: GS1 General Specifications, sections 1.4 (prefixes), 2.1 (GTIN structures), 7.9 (check digit).

use std::fmt;
use std::str::FromStr;

/// A valid GTIN, kept as its 14-digit form: two barcodes name the same product exactly if these are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gtin(u64);

impl Gtin {
    /// Reads 8, 12, 13 or 14 digits (GTIN-8/EAN-8, UPC-A, EAN-13, GTIN-14); spaces and hyphens are skipped.
    ///
    /// Eight digits that start with 0 or 1 and fail the GTIN-8 check are also tried as UPC-E; where both would fit,
    /// they are a GTIN-8 (use [`Gtin::from_upc_e`] if you know better).
    ///
    /// # Errors
    /// [`GtinError`] says which character, length or check digit is wrong.
    pub fn parse(text: &str) -> Result<Self, GtinError> {
        let mut digits = [0u8; 14];
        let mut found = 0usize;
        for c in text.chars() {
            match c {
                '0'..='9' => {
                    if let Some(slot) = digits.get_mut(found) {
                        *slot = c as u8 - b'0';
                    }
                    found += 1;
                }
                ' ' | '-' | '\u{a0}' | '\u{2010}'..='\u{2015}' => {}
                _ => return Err(GtinError::Character { found: c }),
            }
        }
        if !matches!(found, 8 | 12 | 13 | 14) {
            return Err(GtinError::Length { found });
        }
        let digits = &digits[..found];
        match Self::from_digits(digits) {
            Err(GtinError::CheckDigit { .. }) if found == 8 && digits[0] <= 1 => {
                Self::from_upc_e(digits).or_else(|_| Self::from_digits(digits))
            }
            other => other,
        }
    }

    /// From 8, 12, 13 or 14 decimal digits (values `0..=9`, the last being the check digit).
    ///
    /// # Errors
    /// As [`Gtin::parse`].
    pub fn from_digits(digits: &[u8]) -> Result<Self, GtinError> {
        if !matches!(digits.len(), 8 | 12 | 13 | 14) {
            return Err(GtinError::Length { found: digits.len() });
        }
        let mut value = 0u64;
        for &d in digits {
            if d > 9 {
                return Err(GtinError::Character { found: char::from(d) });
            }
            value = value * 10 + u64::from(d);
        }
        Self::from_u64(value)
    }

    /// From the number itself, leading zeros left out, as a pack or a spreadsheet keeps it.
    ///
    /// # Errors
    /// [`GtinError::Zero`], [`GtinError::Length`] above 14 digits, [`GtinError::CheckDigit`].
    pub fn from_u64(value: u64) -> Result<Self, GtinError> {
        if value == 0 {
            return Err(GtinError::Zero);
        }
        if value >= 10u64.pow(14) {
            return Err(GtinError::Length { found: value.ilog10() as usize + 1 });
        }
        let (found, expected) = ((value % 10) as u8, check_digit(value / 10));
        if found != expected {
            return Err(GtinError::CheckDigit { found, expected });
        }
        Ok(Self(value))
    }

    /// Expands the eight digits of a UPC-E symbol (number system 0 or 1, six digits, check digit) to its UPC-A.
    ///
    /// # Errors
    /// As [`Gtin::parse`]; [`GtinError::NumberSystem`] for a first digit above 1.
    pub fn from_upc_e(digits: &[u8]) -> Result<Self, GtinError> {
        let &[system, a, b, c, d, e, last, check] = digits else {
            return Err(GtinError::Length { found: digits.len() });
        };
        if system > 1 {
            return Err(GtinError::NumberSystem { found: system });
        }
        let upc_a = match last {
            0..=2 => [system, a, b, last, 0, 0, 0, 0, c, d, e, check],
            3 => [system, a, b, c, 0, 0, 0, 0, 0, d, e, check],
            4 => [system, a, b, c, d, 0, 0, 0, 0, 0, e, check],
            _ => [system, a, b, c, d, e, 0, 0, 0, 0, last, check],
        };
        Self::from_digits(&upc_a)
    }

    /// The number; below 10¹⁴.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Whether shops give this number out themselves, so that it names different things in different shops: prefixes
    /// 02, 04 and 20 to 29 of the 13-digit form (weighed goods, coupons, own labels), and 0 and 2 of a GTIN-8.
    pub const fn is_store_internal(self) -> bool {
        if self.0 < 100_000_000 {
            return matches!(self.0 / 10_000_000, 0 | 2);
        }
        // A first digit of 1 to 9 of the 14 marks a case of goods; the prefix follows it.
        let prefix = self.0 % 10u64.pow(13) / 10u64.pow(11);
        matches!(prefix, 2 | 4 | 20..=29)
    }
}

/// The check digit of a number given without it: weights 3, 1, 3, … from the right, up to the next multiple of 10.
pub(crate) const fn check_digit(mut body: u64) -> u8 {
    let (mut sum, mut weight) = (0, 3);
    while body > 0 {
        sum += body % 10 * weight;
        weight = 4 - weight;
        body /= 10;
    }
    ((10 - sum % 10) % 10) as u8
}

impl fmt::Display for Gtin {
    /// Fourteen digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

impl FromStr for Gtin {
    type Err = GtinError;

    fn from_str(text: &str) -> Result<Self, GtinError> {
        Self::parse(text)
    }
}

/// Why a text is not a GTIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GtinError {
    /// A character that is no digit, space or hyphen.
    #[error("{found:?} in a GTIN; only digits, spaces and hyphens may stand there")]
    Character {
        /// The character.
        found: char,
    },
    /// Not 8, 12, 13 or 14 digits.
    #[error("{found} digits; a GTIN has 8, 12, 13 or 14 (a spreadsheet may have cut leading zeros)")]
    Length {
        /// Digits found.
        found: usize,
    },
    /// The last digit does not fit the others.
    #[error("check digit {found} where the other digits need {expected}; look for a mistyped digit")]
    CheckDigit {
        /// The last digit given.
        found: u8,
        /// The last digit that would fit.
        expected: u8,
    },
    /// Nothing but zeros.
    #[error("a GTIN of zeros only; leave the field empty if there is none")]
    Zero,
    /// A UPC-E symbol starts with 0 or 1.
    #[error("a UPC-E number starting with {found}; it starts with 0 or 1")]
    NumberSystem {
        /// The first digit.
        found: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_length_comes_to_one_form() {
        let check = |text, want: &str| assert_eq!(Gtin::parse(text).unwrap().to_string(), want, "{text}");
        check("036000291452", "00036000291452");
        check("0036000291452", "00036000291452");
        check("00036000291452", "00036000291452");
        check(" 0 36000-29145 2 ", "00036000291452");
        check("4006381333931", "04006381333931");
        check("9638-5074", "00000096385074");
        check("10036000291459", "10036000291459");
    }

    #[test]
    fn upc_e_expands_by_its_last_digit() {
        // GS1 General Specifications, figure 5.2.2.4.2-1: one row a rule.
        let check = |text, want: &str| assert_eq!(Gtin::parse(text).unwrap().to_string(), want, "{text}");
        check("04252614", "00042100005264");
        check("01234505", "00012000003455");
        check("01234531", "00012300000451");
        check("01234543", "00012340000053");
        // This one is a GTIN-8 as well.
        let both = Gtin::from_upc_e(&[0, 1, 2, 3, 4, 5, 6, 5]).unwrap();
        assert_eq!(both.to_string(), "00012345000065");
        check("01234565", "00000001234565");
        assert_eq!(Gtin::from_upc_e(&[2, 4, 2, 5, 2, 6, 1, 4]), Err(GtinError::NumberSystem { found: 2 }));
        assert_eq!(Gtin::from_upc_e(&[0; 7]), Err(GtinError::Length { found: 7 }));
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |text, want| assert_eq!(Gtin::parse(text), Err(want), "{text}");
        check("", GtinError::Length { found: 0 });
        check("36000291452", GtinError::Length { found: 11 });
        check("1234567890123456789012345", GtinError::Length { found: 25 });
        check("036000291453", GtinError::CheckDigit { found: 3, expected: 2 });
        check("96385075", GtinError::CheckDigit { found: 5, expected: 4 });
        check("4.00638E+12", GtinError::Character { found: '.' });
        check("٤٠٠٦٣٨١٣٣٣٩٣١", GtinError::Character { found: '٤' });
        check("00000000", GtinError::Zero);
    }

    #[test]
    fn numbers_that_shops_give_out() {
        let check = |text, want| assert_eq!(Gtin::parse(text).unwrap().is_store_internal(), want, "{text}");
        check("212345600009", true); // UPC-A 2: weighed
        check("400000000008", true); // UPC-A 4: own numbering
        check("2012345000001", true);
        check("2912345000004", true);
        check("20000004", true);
        check("00959742", true); // GTIN-8 starting with 0: a shop's own
        check("036000291452", false);
        check("4006381333931", false);
        check("3001234500004", false);
        check("96385074", false);
        check("10036000291459", false);
    }

    proptest! {
        #[test]
        fn one_wrong_digit_is_always_seen(body in 1u64..10u64.pow(13), at in 0u32..14, add in 1u64..10) {
            let good = body * 10 + u64::from(check_digit(body));
            prop_assert!(Gtin::from_u64(good).is_ok());
            let digit = good / 10u64.pow(at) % 10;
            let bad = good - digit * 10u64.pow(at) + (digit + add) % 10 * 10u64.pow(at);
            prop_assert!(Gtin::from_u64(bad).is_err());
        }

        #[test]
        fn what_it_prints_it_reads(body in 1u64..10u64.pow(13)) {
            let gtin = Gtin::from_u64(body * 10 + u64::from(check_digit(body))).unwrap();
            prop_assert_eq!(Gtin::parse(&gtin.to_string()), Ok(gtin));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = text.parse::<Gtin>();
        }
    }
}
