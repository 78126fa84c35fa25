//! When to detect again.

use std::time::Duration;

/// How hard to work on a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Most detections a second. Default 4.
    pub max_rate: f32,
    /// Largest share of the time spent detecting and naming, in `0..=1`. Default 0.5.
    pub duty: f32,
    /// Carry boxes along between detections. Default true.
    pub track: bool,
    /// Answer a frame that has not changed with the last answer. Default true.
    pub skip_unchanged: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { max_rate: 4.0, duty: 0.5, track: true, skip_unchanged: true }
    }
}

/// How warm the device says it is: Android's thermal status, iOS's thermal state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heat {
    /// Cool.
    #[default]
    Nominal,
    /// Warm.
    Fair,
    /// Hot.
    Serious,
    /// About to be shut down.
    Critical,
}

impl Heat {
    /// Share of the duty that is left.
    fn share(self) -> f32 {
        match self {
            Self::Nominal => 1.0,
            Self::Fair => 0.6,
            Self::Serious => 0.25,
            Self::Critical => 0.05,
        }
    }
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The last answer stands.
    Keep,
    /// Carry the boxes along.
    Move,
    /// Detect and name.
    Detect,
}

/// Spends detections within a share of time.
#[derive(Clone, Copy, Debug)]
pub struct Governor {
    pace: Pace,
    heat: Heat,
    /// When the last detection began, and what it cost.
    last: Option<(Duration, Duration)>,
}

/// Least and greatest duty and rate that are taken seriously.
const DUTY: (f32, f32) = (0.01, 1.0);
const RATE: (f32, f32) = (0.05, 120.0);

impl Governor {
    /// One that has seen nothing. Values out of range, and those that are no numbers, are brought into it.
    pub fn new(pace: Pace) -> Self {
        let into =
            |value: f32, (low, high): (f32, f32)| if value.is_nan() { low } else { value.clamp(low, high) };
        let pace = Pace { duty: into(pace.duty, DUTY), max_rate: into(pace.max_rate, RATE), ..pace };
        Self { pace, heat: Heat::Nominal, last: None }
    }

    /// Tells how warm the device is.
    pub fn set_heat(&mut self, heat: Heat) {
        self.heat = heat;
    }

    /// Share of time that may be spent now.
    pub fn duty(&self) -> f32 {
        (self.pace.duty * self.heat.share()).max(DUTY.0)
    }

    /// What to do at `now` (any clock that only goes forward). `unchanged` says that the frame shows what the last
    /// detection saw; `lost`, that known boxes cannot be carried along.
    pub fn decide(&self, now: Duration, unchanged: bool, lost: bool) -> Decision {
        let Some((began, cost)) = self.last else { return Decision::Detect };
        if unchanged && self.pace.skip_unchanged {
            return Decision::Keep;
        }
        // A detection of cost c every c / duty seconds fills the share.
        let apart = cost.as_secs_f32() / self.duty();
        let apart = apart.max(1.0 / self.pace.max_rate);
        if now.saturating_sub(began).as_secs_f32() >= apart {
            Decision::Detect
        } else if self.pace.track && !lost {
            Decision::Move
        } else {
            Decision::Keep
        }
    }

    /// Notes a detection that began at `began` and took `cost`.
    pub fn detected(&mut self, began: Duration, cost: Duration) {
        self.last = Some((began, cost));
    }

    /// What it was told to keep to.
    pub fn pace(&self) -> Pace {
        self.pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Share of the time spent detecting over a minute of 30 frames a second, and the number of detections.
    fn run(pace: Pace, heat: Heat, cost: Duration) -> (f32, u32) {
        let mut governor = Governor::new(pace);
        governor.set_heat(heat);
        let (mut now, mut busy, mut detections) = (Duration::ZERO, Duration::ZERO, 0);
        while now < Duration::from_secs(60) {
            if governor.decide(now, false, false) == Decision::Detect {
                governor.detected(now, cost);
                (busy, detections) = (busy + cost, detections + 1);
                now += cost;
            }
            now += 33 * MS;
        }
        (busy.as_secs_f32() / 60.0, detections)
    }

    #[test]
    fn work_stays_within_the_duty_and_falls_with_heat() {
        let pace = Pace { max_rate: 100.0, duty: 0.4, ..Pace::default() };
        let mut before = 1.0;
        for heat in [Heat::Nominal, Heat::Fair, Heat::Serious, Heat::Critical] {
            let (share, _) = run(pace, heat, 120 * MS);
            let allowed = 0.4 * heat.share();
            assert!(share <= allowed * 1.1 + 0.002 && share > allowed * 0.6, "{heat:?}: {share}");
            assert!(share < before);
            before = share;
        }
    }

    #[test]
    fn rate_is_kept() {
        let (_, detections) =
            run(Pace { max_rate: 2.0, duty: 1.0, ..Pace::default() }, Heat::Nominal, 10 * MS);
        assert!((110..=121).contains(&detections), "{detections}");
    }

    #[test]
    fn unchanged_frames_cost_nothing() {
        let mut governor = Governor::new(Pace::default());
        assert_eq!(governor.decide(Duration::ZERO, true, false), Decision::Detect);
        governor.detected(Duration::ZERO, 50 * MS);
        assert_eq!(governor.decide(3_600_000 * MS, true, false), Decision::Keep);
        assert_eq!(governor.decide(3_600_000 * MS, false, false), Decision::Detect);
        assert_eq!(governor.decide(60 * MS, false, false), Decision::Move);
        assert_eq!(governor.decide(60 * MS, false, true), Decision::Keep);
        let eager = Governor::new(Pace { skip_unchanged: false, ..Pace::default() });
        assert_eq!(eager.decide(Duration::ZERO, true, false), Decision::Detect);
    }

    #[test]
    fn nonsense_is_brought_into_range() {
        let governor = Governor::new(Pace { duty: f32::NAN, max_rate: -3.0, ..Pace::default() });
        assert_eq!((governor.pace().duty, governor.pace().max_rate), (DUTY.0, RATE.0));
    }
}
