//! Non-maximum suppression.

use super::Detection;

/// Keeps the strongest box and drops what overlaps it by more than `iou`, then the strongest of the rest, and so on.
/// The result is sorted by falling score (equal scores keep their order); boxes whose score is NaN or that have no
/// area are dropped.
pub fn nms(mut boxes: Vec<Detection>, iou: f32) -> Vec<Detection> {
    boxes.retain(|b| !b.score.is_nan() && b.rect.area() > 0.0);
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::with_capacity(boxes.len());
    for candidate in boxes {
        if kept.iter().all(|k| k.rect.iou(&candidate.rect) <= iou) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Rect;

    fn detection() -> impl Strategy<Value = Detection> {
        // Coarse numbers, so that equal scores and equal boxes occur.
        let side = || (0u8..20).prop_map(f32::from);
        (side(), side(), side(), side(), 0u8..8)
            .prop_map(|(x, y, w, h, s)| Detection { rect: Rect::new(x, y, w, h), score: f32::from(s) / 8.0 })
    }

    proptest! {
        #[test]
        fn keeps_a_sorted_subset_that_overlaps_little(
            boxes in prop::collection::vec(detection(), 0..60),
            iou in 0.0f32..=1.0,
        ) {
            let kept = nms(boxes.clone(), iou);
            prop_assert!(kept.iter().all(|k| boxes.contains(k)));
            prop_assert!(kept.is_sorted_by(|a, b| a.score >= b.score));
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[i + 1..].iter().all(|b| a.rect.iou(&b.rect) <= iou));
            }
            // What was dropped has no area or overlaps something at least as strong.
            for b in &boxes {
                let explained = kept.iter().any(|k| k == b || k.score >= b.score && k.rect.iou(&b.rect) > iou);
                prop_assert!(explained || b.rect.area() == 0.0);
            }
            prop_assert_eq!(nms(kept.clone(), iou), kept);
        }
    }

    #[test]
    fn drops_what_is_not_a_number() {
        let bad = |rect, score| Detection { rect, score };
        let boxes = vec![
            bad(Rect::new(0.0, 0.0, 4.0, 4.0), f32::NAN),
            bad(Rect::new(0.0, 0.0, f32::NAN, 4.0), 0.5),
            bad(Rect::new(0.0, 0.0, -4.0, 4.0), 0.5),
        ];
        assert_eq!(nms(boxes, 0.5), []);
    }
}
