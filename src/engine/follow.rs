//! Many products in a stream of frames, at a fraction of the work of scanning each.

use std::time::{Duration, Instant};

use super::error::FindError;
use super::find::{EncodedQuery, Wanted, check_cancel, check_top};
use super::memory::of_frame;
use super::scan::{MARGIN, holds_centre};
use super::{Engine, Match, State, Timings};
use crate::frame::Frame;
use crate::fuse::Gtin;
use crate::geometry::Rect;
use crate::live::{Decision, Governor, Heat, Motion, Pace, Seen, Thumb, Track, Tracks};
use crate::options::{Depth, ScanOptions};

/// Score below which a box is named again at the next detection that is [`RETRY`] later: the next view may be better.
const DOUBTFUL: f32 = 0.5;
/// Time after which a doubtful box is named again.
const RETRY: Duration = Duration::from_secs(1);
/// Time after which any box is named again.
const STALE: Duration = Duration::from_secs(10);
/// Factor by which a box may grow before it is named again: it then shows more.
const CLOSER: f32 = 1.3;

/// Options of [`Engine::follow`].
#[derive(Clone, Debug, Default)]
pub struct FollowOptions {
    /// What is looked for.
    pub scan: ScanOptions,
    /// How hard.
    pub pace: Pace,
}

/// What is known from the frames so far. One a camera stream.
#[derive(Debug)]
pub struct Session {
    options: FollowOptions,
    governor: Governor,
    /// Boxes where they were in the frame of `anchor`.
    tracks: Tracks<Named>,
    anchor: Option<Thumb>,
    /// The frame of the last detection.
    answered: Option<Thumb>,
    barcodes: Vec<Gtin>,
    /// Edits of the catalogue at the last detection.
    edits: usize,
}

/// A box's products, and when and at which size they were found.
#[derive(Clone, Debug)]
struct Named {
    matches: Vec<Match>,
    at: Duration,
    size: (f32, f32),
}

/// What was done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// It shows what the last detection saw, whose answer stands.
    Unchanged,
    /// Boxes were carried along with the picture.
    Moved,
    /// Products were detected, and those not known from before named.
    Detected,
}

/// A product place in view.
#[derive(Clone, Debug)]
pub struct FollowedItem {
    /// The same from frame to frame, from 1 on.
    pub track: u64,
    /// Where, in pixels of the upright picture.
    pub rect: Rect,
    /// Certainty of its last detection, in `0..=1`.
    pub detection: f32,
    /// Best first.
    pub matches: Vec<Match>,
}

/// Answer to [`Engine::follow`].
#[derive(Clone, Debug)]
pub struct Followed {
    /// The most certain box first.
    pub items: Vec<FollowedItem>,
    /// GTINs read at the last detection.
    pub barcodes: Vec<Gtin>,
    /// What was done.
    pub effort: Effort,
    /// Time a stage.
    pub ms: Timings,
}

impl Session {
    /// One that has seen nothing.
    pub fn new(options: FollowOptions) -> Self {
        Self {
            governor: Governor::new(options.pace),
            options,
            tracks: Tracks::default(),
            anchor: None,
            answered: None,
            barcodes: Vec::new(),
            edits: 0,
        }
    }

    /// Tells how warm the device is; work is cut accordingly.
    pub fn set_heat(&mut self, heat: Heat) {
        self.governor.set_heat(heat);
    }

    /// What is looked for, to change for the frames to come. Boxes known so far keep their products until they are
    /// named again; use a new session for other filters.
    pub fn scan_options(&mut self) -> &mut ScanOptions {
        &mut self.options.scan
    }

    fn answer(
        &self,
        state: &State,
        motion: Motion,
        effort: Effort,
        size: (u32, u32),
        ms: Timings,
    ) -> Followed {
        let items = self.tracks.all().iter().filter_map(|track| {
            let Rect { x, y, w, h } = track.rect;
            let rect = Rect::new(x + motion.dx, y + motion.dy, w, h).clip(size.0, size.1)?;
            // Some may have been deleted since they were found.
            let there = track.known.matches.iter().filter(|m| !state.is_deleted(m.product));
            let matches = there.cloned().collect();
            Some(FollowedItem { track: track.id, rect, detection: track.score, matches })
        });
        Followed { items: items.collect(), barcodes: self.barcodes.clone(), effort, ms }
    }
}

const STILL: Motion = Motion { dx: 0.0, dy: 0.0, residual: 0.0 };

impl Engine {
    /// The products in the next frame of a stream: as [`scan`](Self::scan), but a frame that shows nothing new is
    /// answered from before, boxes are carried along with the picture between detections, and only boxes not known from
    /// before are named, or all after products were added or deleted. How often is detected is the session's [`Pace`];
    /// `now` is any clock that only goes forward.
    ///
    /// # Errors
    /// As [`scan`](Self::scan); the session is then as it was.
    pub fn follow(
        &self,
        session: &mut Session,
        frame: &Frame<'_>,
        now: Duration,
    ) -> Result<Followed, FindError> {
        check_top(session.options.scan.top)?;
        let answer = |session: &Session, motion, effort, ms| {
            session.answer(&self.changes.read(), motion, effort, frame.size(), ms)
        };
        let edited = self.changes.read().edits() != session.edits;
        let mut ms = Timings::default();
        let (thumb, unchanged, motion) = ms.measure("compare", || {
            let thumb = Thumb::new(frame);
            let seen = session.answered.as_ref().filter(|_| !edited);
            let unchanged = seen.is_some_and(|seen| thumb.change(seen).is_none());
            let motion = session.anchor.as_ref().and_then(|anchor| thumb.motion(anchor));
            (thumb, unchanged, motion.filter(|motion| !motion.is_lost()))
        });
        let size = frame.size();
        let decision = session.governor.decide(now, unchanged, motion.is_none());
        if decision == Decision::Detect {
            return self.detect_again(session, frame, thumb, motion, now, ms);
        }
        if !session.options.pace.track {
            return Ok(answer(session, STILL, Effort::Unchanged, ms));
        }
        let Some(motion) = motion else {
            // Another scene: boxes of the last one would lie.
            session.tracks.clear();
            session.anchor = Some(thumb);
            return Ok(answer(session, STILL, Effort::Moved, ms));
        };
        let effort = if unchanged { Effort::Unchanged } else { Effort::Moved };
        let answer = answer(session, motion, effort, ms);
        // Motion is measured against one frame as long as it is in reach, so that errors do not add up.
        if motion.dx.abs() > 0.06 * size.0 as f32 || motion.dy.abs() > 0.06 * size.1 as f32 {
            session.tracks.shift(motion, size.0, size.1);
            session.anchor = Some(thumb);
        }
        Ok(answer)
    }

    fn detect_again(
        &self,
        session: &mut Session,
        frame: &Frame<'_>,
        thumb: Thumb,
        motion: Option<Motion>,
        now: Duration,
        mut ms: Timings,
    ) -> Result<Followed, FindError> {
        let begin = Instant::now();
        let edits = self.changes.read().edits();
        let options = session.options.scan.clone();
        let cancel = options.cancel.as_ref();
        check_cancel(cancel)?;
        let (width, height) = frame.size();
        let (detector, encoder) =
            ms.measure("load", || Ok::<_, FindError>((self.detector()?, self.image_encoder()?)))?;
        let networks = detector.memory() + encoder.memory();
        let _held = self.memory.reserve(of_frame(frame, options.barcode) + networks)?;
        let mut found = ms.measure("detect", || detector.detect_until(frame, None, cancel))?;
        found.truncate(options.max_boxes);
        let mut boxes: Vec<(Rect, f32)> = found.iter().map(|d| (d.rect, d.score)).collect();
        let mut barcodes = Vec::new();
        if options.barcode {
            barcodes = ms.measure("barcode", || self.read_barcodes(frame, None, boxes.len(), cancel));
        }
        check_cancel(cancel)?;
        let allowed = self.allowed(&options.filters, cancel, &mut ms)?;
        let wanted = Wanted { top: options.top, allowed: allowed.as_ref(), depth: Depth::Auto, cancel };
        // A barcode that the catalogue knows, outside all boxes, is a product place of its own.
        let outside = |place: &Rect| !found.iter().any(|d| holds_centre(&d.rect, place));
        let mut alone: Vec<(Rect, Vec<Match>)> = Vec::new();
        for (gtin, place) in &barcodes {
            let Some(place) = place.filter(outside) else { continue };
            let query = EncodedQuery { barcodes: vec![*gtin], ..EncodedQuery::default() };
            let matches = self.rank(&query, &wanted, &mut ms)?;
            if !matches.is_empty() {
                boxes.push((place, 1.0));
                alone.push((place, matches));
            }
        }
        // On copies, so that an error leaves the session as it was.
        let mut tracks = session.tracks.clone();
        match motion {
            Some(motion) => tracks.shift(motion, width, height),
            None => tracks.clear(),
        }
        let mut next = Vec::with_capacity(boxes.len());
        for seen in tracks.pair(&boxes) {
            let Seen { id, rect, score, before } = seen;
            let size = (rect.w, rect.h);
            let inside: Vec<Gtin> = barcodes
                .iter()
                .filter(|(_, place)| place.is_some_and(|place| holds_centre(&rect, &place)))
                .map(|(gtin, _)| *gtin)
                .collect();
            let same = inside.is_empty() && edits == session.edits;
            let known = before.map(|(named, _)| named).filter(|n| same && n.still_good(now, size));
            let known = match (known, alone.iter().find(|(place, _)| *place == rect)) {
                (_, Some((_, matches))) => Named { matches: matches.clone(), at: now, size },
                (Some(known), None) => known,
                (None, None) => {
                    let image = ms
                        .measure("encode", || encoder.encode_until(frame, Some(rect.grow(MARGIN)), cancel))?;
                    let query =
                        EncodedQuery { image: Some(image), barcodes: inside, ..EncodedQuery::default() };
                    let matches = self.rank(&query, &wanted, &mut ms)?;
                    Named { matches, at: now, size }
                }
            };
            next.push(Track { id, rect, score, known });
        }
        tracks.replace(next);
        session.tracks = tracks;
        session.edits = edits;
        session.barcodes = barcodes.into_iter().map(|(gtin, _)| gtin).collect();
        session.barcodes.dedup();
        session.anchor = Some(thumb.clone());
        session.answered = Some(thumb);
        session.governor.detected(now, begin.elapsed());
        Ok(session.answer(&self.changes.read(), STILL, Effort::Detected, (width, height), ms))
    }
}

impl Named {
    fn still_good(&self, now: Duration, size: (f32, f32)) -> bool {
        let age = now.saturating_sub(self.at);
        let sure = self.matches.first().is_some_and(|best| best.score >= DOUBTFUL);
        let closer = size.0 > CLOSER * self.size.0 || size.1 > CLOSER * self.size.1;
        !closer && age < if sure { STALE } else { RETRY }
    }
}
