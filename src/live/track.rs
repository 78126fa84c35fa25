//! Boxes that keep their number from frame to frame.

use super::Motion;
use crate::geometry::Rect;

/// Overlap from which a box is the one seen before.
const SAME_BOX: f32 = 0.45;

/// A box seen before, with what is known about it.
#[derive(Clone, Debug)]
pub struct Track<T> {
    /// Its number, from 1 on, never given twice.
    pub id: u64,
    /// Where it is now, in pixels of the upright frame.
    pub rect: Rect,
    /// Certainty of its last detection.
    pub score: f32,
    /// What is known.
    pub known: T,
}

/// A detection, and the track it continues.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    /// Its number: the track's, or a new one.
    pub id: u64,
    /// Where.
    pub rect: Rect,
    /// Certainty.
    pub score: f32,
    /// What is known from before, and where the box then was; `None` for a new one.
    pub before: Option<(T, Rect)>,
}

/// Boxes in view.
#[derive(Clone, Debug)]
pub struct Tracks<T> {
    tracks: Vec<Track<T>>,
    last_id: u64,
}

impl<T> Default for Tracks<T> {
    fn default() -> Self {
        Self { tracks: Vec::new(), last_id: 0 }
    }
}

impl<T: Clone> Tracks<T> {
    /// All of them, the most certain first.
    pub fn all(&self) -> &[Track<T>] {
        &self.tracks
    }

    /// Moves every box with the picture; those less than half inside `width × height` are dropped.
    pub fn shift(&mut self, motion: Motion, width: u32, height: u32) {
        self.tracks.retain_mut(|track| {
            track.rect.x += motion.dx;
            track.rect.y += motion.dy;
            let inside = track.rect.clip(width, height);
            inside.is_some_and(|inside| inside.area() >= 0.5 * track.rect.area())
        });
    }

    /// Pairs detections with tracks, the most overlapping first, each at most once.
    pub fn pair(&mut self, detections: &[(Rect, f32)]) -> Vec<Seen<T>> {
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (d, (rect, _)) in detections.iter().enumerate() {
            let overlaps = self.tracks.iter().map(|track| track.rect.iou(rect)).enumerate();
            pairs.extend(overlaps.filter(|&(_, iou)| iou >= SAME_BOX).map(|(t, iou)| (iou, d, t)));
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut of_detection = vec![None; detections.len()];
        let mut taken = vec![false; self.tracks.len()];
        for (_, d, t) in pairs {
            if of_detection[d].is_none() && !taken[t] {
                of_detection[d] = Some(t);
                taken[t] = true;
            }
        }
        let mut seen = Vec::with_capacity(detections.len());
        for (&(rect, score), track) in detections.iter().zip(of_detection) {
            let track = track.map(|t| &self.tracks[t]);
            let id = match track {
                Some(track) => track.id,
                None => {
                    self.last_id += 1;
                    self.last_id
                }
            };
            let before = track.map(|track| (track.known.clone(), track.rect));
            seen.push(Seen { id, rect, score, before });
        }
        seen
    }

    /// Puts what was found in place of what was known.
    pub fn replace(&mut self, tracks: Vec<Track<T>>) {
        self.tracks = tracks;
    }

    /// Forgets every box; numbers go on.
    pub fn clear(&mut self) {
        self.tracks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks_of(seen: &[Seen<u32>]) -> Vec<Track<u32>> {
        seen.iter().map(|s| Track { id: s.id, rect: s.rect, score: s.score, known: s.id as u32 }).collect()
    }

    #[test]
    fn boxes_keep_their_numbers_as_the_picture_moves() {
        let row = |dx: f32| -> Vec<(Rect, f32)> {
            (0..5).map(|i| (Rect::new(i as f32 * 60.0 + dx, 40.0, 50.0, 90.0), 0.9)).collect()
        };
        let mut tracks = Tracks::default();
        let first = tracks.pair(&row(0.0));
        assert_eq!(first.iter().map(|s| s.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(first.iter().all(|s| s.before.is_none()));
        tracks.replace(tracks_of(&first));
        // The camera pans by a box and a half; without the motion every box would be taken for its neighbour.
        tracks.shift(Motion { dx: -90.0, dy: 2.0, residual: 1.0 }, 300, 200);
        assert_eq!(tracks.all().iter().map(|t| t.id).collect::<Vec<_>>(), [3, 4, 5]);
        let second = tracks.pair(&row(-90.0 + 120.0 - 1.0)[..3]);
        assert_eq!(second.iter().map(|s| s.id).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(second[0].before.map(|(known, _)| known), Some(3));
    }

    #[test]
    fn the_larger_overlap_wins_and_none_is_shared() {
        let mut tracks = Tracks::default();
        let first = tracks.pair(&[(Rect::new(0.0, 0.0, 100.0, 100.0), 0.9)]);
        tracks.replace(tracks_of(&first));
        let near = Rect::new(20.0, 0.0, 100.0, 100.0);
        let nearer = Rect::new(5.0, 0.0, 100.0, 100.0);
        let seen = tracks.pair(&[(near, 0.9), (nearer, 0.8)]);
        assert_eq!(seen.iter().map(|s| s.id).collect::<Vec<_>>(), [2, 1]);
    }
}
