//! Broken plans for tests.

/// Made-up numbers, the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

/// A plan with one to three words of its program changed and the checksum made right again.
pub fn changed(sound: &[u8], dice: &mut Dice) -> Vec<u8> {
    let words = u32::from_le_bytes(sound[12..16].try_into().unwrap()) as usize;
    let mut bytes = sound.to_vec();
    for _ in 0..1 + dice.roll() % 3 {
        let at = 64 + dice.roll() as usize % (words / 4) * 4;
        let old = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let new = match dice.roll() % 7 {
            0 => dice.roll(),
            1 => 0,
            2 => 1,
            3 => u32::MAX,
            4 => old.wrapping_add(1),
            5 => old.wrapping_sub(1),
            _ => old ^ (1 << (dice.roll() % 32)),
        };
        bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[64..64 + words]);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    bytes
}
