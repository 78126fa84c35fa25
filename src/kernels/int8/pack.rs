//! How weights lie in memory; see the module's page.

use super::{CHANNELS, COLUMNS, INPUTS};

/// Bytes of a packed matrix `[k, n]`.
pub fn packed_matrix_len(k: usize, n: usize) -> usize {
    n.next_multiple_of(COLUMNS) * k.next_multiple_of(INPUTS)
}

/// Packs `weights`, `[k, n]`.
///
/// # Panics
/// If `weights` does not hold `k · n` values.
pub fn pack_matrix(weights: &[i8], k: usize, n: usize) -> Vec<u8> {
    assert_eq!(weights.len(), k * n);
    let quads = k.div_ceil(INPUTS);
    let mut packed = vec![0; packed_matrix_len(k, n)];
    for (input, row) in weights.chunks_exact(n).enumerate() {
        for (column, &weight) in row.iter().enumerate() {
            let lane = (column / COLUMNS * quads + input / INPUTS) * COLUMNS + column % COLUMNS;
            packed[lane * INPUTS + input % INPUTS] = weight as u8;
        }
    }
    packed
}

/// Bytes of packed depthwise filters.
pub fn packed_depthwise_len(taps: usize, channels: usize) -> usize {
    channels.next_multiple_of(CHANNELS) * taps.next_multiple_of(INPUTS)
}

/// Place of a channel's number among those of its layer, as packed filters want them.
pub fn depthwise_order(channel: usize) -> usize {
    let (block, l, v, j) = (channel / CHANNELS, channel / 16 % 4, channel / 4 % 4, channel % 4);
    block * CHANNELS + v * 16 + l * 4 + j
}

/// Packs depthwise filters `[taps, channels]`.
///
/// # Panics
/// If `weights` does not hold `taps · channels` values.
pub fn pack_depthwise(weights: &[i8], taps: usize, channels: usize) -> Vec<u8> {
    assert_eq!(weights.len(), taps * channels);
    let groups = taps.div_ceil(INPUTS);
    let mut packed = vec![0; packed_depthwise_len(taps, channels)];
    for (tap, row) in weights.chunks_exact(channels).enumerate() {
        for (channel, &weight) in row.iter().enumerate() {
            let place = depthwise_order(channel);
            let (block, within) = (place / CHANNELS, place % CHANNELS);
            let lane = (block * groups + tap / INPUTS) * CHANNELS + within;
            packed[lane * INPUTS + tap % INPUTS] = weight as u8;
        }
    }
    packed
}
