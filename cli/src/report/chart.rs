//! Charts as inline SVG: bars, a histogram, curves.

use maud::{Markup, html};

/// A named line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// Points are drawn in the order of their x; those that are not finite are left out.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        let mut points: Vec<_> = points.into_iter().filter(|p| p.0.is_finite() && p.1.is_finite()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { name: name.into(), points }
    }
}

/// Drawing area of a chart: width, height and the room for its labels.
const W: f64 = 480.0;
const H: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// Three figures, no trailing zeros, thousands grouped.
pub(super) fn figure(v: f64) -> String {
    if !v.is_finite() {
        return "–".into();
    }
    let digits = if v == 0.0 { 0 } else { (2 - v.abs().log10().floor() as i32).clamp(0, 6) as usize };
    let text = format!("{v:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.as_str()), |r| ("-", r));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    fraction.map_or_else(|| format!("{sign}{grouped}"), |f| format!("{sign}{grouped}.{f}"))
}

/// Round values that divide a range into about `count` steps.
fn ticks(low: f64, high: f64, count: f64) -> Vec<f64> {
    let raw = (high - low) / count;
    if !(raw.is_finite() && raw > 0.0) {
        return vec![low];
    }
    let power = 10f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let first = (low / step - 1e-9).ceil();
    (0..).map(|i| (first + f64::from(i)) * step).take_while(|v| *v <= high + step * 1e-6).take(24).collect()
}

pub(super) fn bars(title: &str, unit: &str, rows: &[(String, f64)]) -> Markup {
    let most = rows.iter().map(|r| r.1).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let share = |v: f64| if most > 0.0 && v.is_finite() { (v / most * 100.0).max(0.0) } else { 0.0 };
    html! { figure.chart {
        figcaption { (title) }
        div.bars { @for (label, value) in rows {
            span.label { (label) }
            svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
                rect.track x="0" y="0" width="100" height="10" {}
                rect.bar x="0" y="0" width=(format!("{:.2}", share(*value))) height="10" {}
            }
            span.value { (figure(*value)) " " (unit) }
        } }
    } }
}

/// Axes, grid and labels around what `inside` draws.
fn frame(
    title: &str,
    (x_name, x_ticks): (&str, &[f64]),
    y_ticks: &[f64],
    at: impl Fn(f64, f64) -> (f64, f64),
    (inside, below): (Markup, Markup),
) -> Markup {
    let (base, right) = (H - BOTTOM, W - RIGHT);
    let first = x_ticks.first().copied().unwrap_or(0.0);
    html! { figure.chart {
        figcaption { (title) }
        svg viewBox=(format!("0 0 {W} {H}")) role="img" aria-label=(title) {
            @for y in y_ticks {
                line.grid x1=(LEFT) x2=(right) y1=(px(at(first, *y).1)) y2=(px(at(first, *y).1)) {}
                text.tick x=(LEFT - 6.0) y=(px(at(first, *y).1 + 4.0)) text-anchor="end" { (figure(*y)) }
            }
            @for x in x_ticks {
                line.grid x1=(px(at(*x, 0.0).0)) x2=(px(at(*x, 0.0).0)) y1=(base) y2=(base + 4.0) {}
                text.tick x=(px(at(*x, 0.0).0)) y=(base + 17.0) text-anchor="middle" { (figure(*x)) }
            }
            (inside)
            line.axis x1=(LEFT) x2=(right) y1=(base) y2=(base) {}
            text.tick x=((LEFT + right) / 2.0) y=(H - 6.0) text-anchor="middle" { (x_name) }
        }
        (below)
    } }
}

fn px(v: f64) -> String {
    format!("{v:.1}")
}

pub(super) fn histogram(title: &str, unit: &str, values: &[f64]) -> Markup {
    let mut values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let (Some(&low), Some(&high)) = (values.first(), values.last()) else {
        return html! { figure.chart { figcaption { (title) } p.none { "no values" } } };
    };
    let high = if high > low { high } else { low + low.abs().max(1.0) * 0.1 };
    let bins = ((values.len() as f64).sqrt().ceil() as usize).clamp(5, 40);
    let step = (high - low) / bins as f64;
    let mut counts = vec![0usize; bins];
    values.iter().for_each(|v| counts[(((v - low) / step) as usize).min(bins - 1)] += 1);
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let at = |x: f64, y: f64| {
        (LEFT + (x - low) / (high - low) * (W - LEFT - RIGHT), H - BOTTOM - y / most * (H - BOTTOM - TOP))
    };
    // nearest rank, as the percentiles of `eval` are
    let rank = |p: f64| values[((p * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
    let wide = (W - LEFT - RIGHT) / bins as f64;
    let marks = [("p50", rank(0.5)), ("p95", rank(0.95))];
    let close = (at(marks[0].1, 0.0).0 - at(marks[1].1, 0.0).0).abs() < 70.0;
    let inside = html! {
        @for (i, n) in counts.iter().enumerate() { @if *n > 0 {
            @let (x, y) = at(low + step * i as f64, *n as f64);
            rect.bar x=(px(x + 0.5)) y=(px(y)) width=(px((wide - 1.0).max(0.5))) height=(px(H - BOTTOM - y)) {}
        } }
        @for (i, (name, value)) in marks.iter().enumerate() {
            @let x = at(*value, 0.0).0;
            @let end = x > W * 0.75;
            line.mark x1=(px(x)) x2=(px(x)) y1=(TOP) y2=(H - BOTTOM) {}
            text.tick.strong x=(px(if end { x - 4.0 } else { x + 4.0 })) y=(TOP + 10.0 + if close { 14.0 * i as f64 } else { 0.0 })
                text-anchor=(if end { "end" } else { "start" }) { (name) " " (figure(*value)) }
        }
    };
    let counts: Vec<f64> = ticks(0.0, most, 4.0).into_iter().filter(|t| t.fract() == 0.0).collect();
    frame(title, (unit, &ticks(low, high, 6.0)), &counts, at, (inside, html! {}))
}

pub(super) fn curve(title: &str, x_name: &str, y: Option<(f64, f64)>, series: &[Series]) -> Markup {
    let all = || series.iter().flat_map(|s| s.points.iter());
    let spread = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)))
    };
    if all().next().is_none() {
        return html! { figure.chart { figcaption { (title) } p.none { "no values" } } };
    }
    let widen = |(a, b): (f64, f64)| if b > a { (a, b) } else { (a - 0.5, b + 0.5) };
    let (x0, x1) = widen(spread(&mut all().map(|p| p.0)));
    let (y0, y1) = widen(y.unwrap_or_else(|| spread(&mut all().map(|p| p.1))));
    let at = |x: f64, y: f64| {
        (
            LEFT + (x - x0) / (x1 - x0) * (W - LEFT - RIGHT),
            H - BOTTOM - ((y - y0) / (y1 - y0)).clamp(0.0, 1.0) * (H - BOTTOM - TOP),
        )
    };
    let inside = html! { @for (i, s) in series.iter().enumerate() {
        @let points: Vec<String> = s.points.iter().map(|p| at(p.0, p.1)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        polyline class=(format!("line c{}", i % 5)) points=(points.join(" ")) {}
        @if s.points.len() <= 30 { @for p in &s.points {
            @let (x, y) = at(p.0, p.1);
            circle class=(format!("dot c{}", i % 5)) cx=(px(x)) cy=(px(y)) r="3.2" {}
        } }
    } };
    let key = html! { @if series.iter().any(|s| !s.name.is_empty()) {
        ul.key { @for (i, s) in series.iter().enumerate() { li { i class=(format!("c{}", i % 5)) {} (s.name) } } }
    } };
    frame(title, (x_name, &ticks(x0, x1, 8.0)), &ticks(y0, y1, 5.0), at, (inside, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let check = |v: f64, want: &str| assert_eq!(figure(v), want);
        check(0.0, "0");
        check(0.9123, "0.912");
        check(12.0, "12");
        check(1234567.0, "1,234,567");
        check(-4321.5, "-4,322");
        check(0.000_12, "0.00012");
        check(f64::NAN, "–");
    }

    #[test]
    fn round_ticks() {
        assert_eq!(ticks(0.0, 1.0, 5.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(3.0, 3.0, 5.0), [3.0]);
        assert_eq!(ticks(17.0, 96.0, 4.0), [20.0, 40.0, 60.0, 80.0]);
    }

    #[test]
    fn percentiles_are_marked() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let html = histogram("latency", "ms", &values).into_string();
        assert!(html.contains("p50 50<") && html.contains("p95 95<"), "{html}");
        assert!(histogram("none", "ms", &[f64::NAN]).into_string().contains("no values"));
        histogram("one", "ms", &[4.0]);
        histogram("huge", "ms", &[-1e300, 1e300]);
    }

    #[test]
    fn bars_are_shares_of_the_longest() {
        let html =
            bars("t", "ms", &[("a".into(), 50.0), ("b".into(), 200.0), ("c".into(), -1.0)]).into_string();
        assert!(
            html.contains("width=\"25.00\"")
                && html.contains("width=\"100.00\"")
                && html.contains("width=\"0.00\"")
        );
    }

    #[test]
    fn curves_of_nothing_and_of_one_point() {
        assert!(curve("t", "k", None, &[]).into_string().contains("no values"));
        let html = curve("t", "k", Some((0.0, 1.0)), &[Series::new("a", vec![(1.0, f64::NAN), (2.0, 0.5)])])
            .into_string();
        assert_eq!(html.matches("<circle").count(), 1);
    }
}
