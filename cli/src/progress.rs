//! Progress bars on stderr; silent where stderr is not a terminal.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use shelfsight::build::BuildStep;

/// A bar of `total` steps.
pub fn bar(label: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{msg:>9} {bar:36} {pos}/{len} {eta:>4}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(label);
    bar
}

/// Bars of a pack build, one a step.
#[derive(Default)]
pub struct BuildBars(Mutex<Option<(BuildStep, ProgressBar)>>);

impl BuildBars {
    /// Shows `done` of `total` of `step`.
    pub fn show(&self, step: BuildStep, done: u64, total: u64) {
        let Ok(mut current) = self.0.lock() else { return };
        if !matches!(&*current, Some((shown, _)) if *shown == step) {
            let label = match step {
                BuildStep::Images => "pictures",
                BuildStep::Texts => "texts",
                BuildStep::Index => "index",
            };
            if let Some((_, old)) = current.take() {
                old.finish();
            }
            *current = Some((step, bar(label, total)));
        }
        if let Some((_, bar)) = &*current {
            bar.set_position(done);
        }
    }

    /// Ends the last bar.
    pub fn finish(self) {
        if let Ok(Some((_, bar))) = self.0.into_inner() {
            bar.finish();
        }
    }
}
