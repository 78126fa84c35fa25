//! EAN-13 (GS1 General Specifications, section 5.2.1): 95 modules, quiet zones of 11 and 7.

use crate::canvas::{Canvas, Rgb};
use crate::lettering::{Align, Face};

const LEFT: [[u8; 7]; 10] = [
    *b"0001101",
    *b"0011001",
    *b"0010011",
    *b"0111101",
    *b"0100011",
    *b"0110001",
    *b"0101111",
    *b"0111011",
    *b"0110111",
    *b"0001011",
];
/// Which of the six left digits are of even parity (`1`): the first digit of the number.
const PARITY: [[u8; 6]; 10] = [
    *b"000000", *b"001011", *b"001101", *b"001110", *b"010011", *b"011001", *b"011100", *b"010101",
    *b"010110", *b"011010",
];
const QUIET_LEFT: usize = 11;
const QUIET_RIGHT: usize = 7;
/// Modules from edge to edge, quiet zones included.
pub(crate) const WIDTH: usize = QUIET_LEFT + 95 + QUIET_RIGHT;

/// The 13 digits of a number from its first 12.
pub(crate) fn with_check_digit(twelve: &[u8; 12]) -> [u8; 13] {
    let sum: u32 =
        twelve.iter().enumerate().map(|(i, &d)| u32::from(d) * if i % 2 == 0 { 1 } else { 3 }).sum();
    let mut digits = [0; 13];
    digits[..12].copy_from_slice(twelve);
    digits[12] = ((10 - sum % 10) % 10) as u8;
    digits
}

/// Dark (`true`) and light modules of a number.
pub(crate) fn modules(digits: &[u8; 13]) -> [bool; 95] {
    let mut bits = Vec::with_capacity(95);
    bits.extend(b"101");
    let parity = PARITY[usize::from(digits[0] % 10)];
    for (digit, parity) in digits[1..7].iter().zip(parity) {
        let code = LEFT[usize::from(digit % 10)];
        if parity == b'0' {
            bits.extend(code);
        } else {
            bits.extend(code.iter().rev().map(|b| b ^ 1)); // even parity: the right-hand code, mirrored
        }
    }
    bits.extend(b"01010");
    for digit in &digits[7..] {
        bits.extend(LEFT[usize::from(digit % 10)].map(|b| b ^ 1));
    }
    bits.extend(b"101");
    let mut dark = [false; 95];
    dark.iter_mut().zip(bits).for_each(|(d, b)| *d = b == b'1');
    dark
}

/// Draws the symbol with its white field and digits into `(x, y, w, h)`. A module is a whole number of pixels where
/// the field is wide enough for that, so that the flat picture is as clean as print.
pub(crate) fn draw(canvas: &mut Canvas, digits: &[u8; 13], [x, y, w, h]: [f32; 4]) {
    let px = 1.0 / canvas.scale();
    let exact = w / WIDTH as f32;
    let module = if exact >= px { (exact / px).floor() * px } else { exact };
    let (field, left) = (module * WIDTH as f32, ((x + (w - module * WIDTH as f32) / 2.0) / px).round() * px);
    canvas.rect([left, y, field, h], Rgb::WHITE);
    let size = (module * 9.5).min(h * 0.28);
    let (top, short, long) = (y + h * 0.05, h * 0.92 - size, h * 0.97 - size * 0.45);
    let bar = |i: usize| left + (QUIET_LEFT + i) as f32 * module;
    for (i, _) in modules(digits).iter().enumerate().filter(|(_, dark)| **dark) {
        let guard = i < 3 || (45..50).contains(&i) || i >= 92;
        canvas.bar([bar(i), top, module, if guard { long } else { short }], Rgb::BLACK);
    }
    let base = y + h * 0.985;
    let mut digit = |value: u8, centre: f32| {
        canvas.text(Face::Montserrat, &value.to_string(), size, centre, base, Align::Centre, Rgb::BLACK);
    };
    digit(digits[0], bar(0) - 5.0 * module);
    for i in 0..6 {
        digit(digits[1 + i], bar(3 + 7 * i) + 3.5 * module);
        digit(digits[7 + i], bar(50 + 7 * i) + 3.5 * module);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits() {
        let check = |number: &str| {
            let digits: Vec<u8> = number.bytes().map(|b| b - b'0').collect();
            let twelve: &[u8; 12] = digits[..12].try_into().unwrap();
            assert_eq!(with_check_digit(twelve).to_vec(), digits, "{number}");
        };
        ["4006381333931", "9780201379624", "5901234123457", "0012345678905"].into_iter().for_each(check);
    }

    #[test]
    fn symbol_of_a_known_number() {
        // 5901234123457, the number drawn in the specification's figure
        let bits: String = modules(&[5, 9, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 7])
            .iter()
            .map(|&dark| if dark { '1' } else { '0' })
            .collect();
        let want = "101 0001011 0100111 0110011 0010011 0111101 0011101 01010 1100110 1101100 1000010 1011100 1001110 1000100 101";
        assert_eq!(bits, want.replace(' ', ""));
    }
}
