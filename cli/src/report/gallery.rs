//! Queries and their answers, marked right or wrong.

use maud::{Markup, html};

use super::Picture;

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Picture of the catalogue.
    pub picture: Option<Picture>,
    /// Product's title.
    pub title: String,
    /// Brand, GTIN, evidence: what helps to judge; may be empty.
    pub detail: String,
    /// Score, `0..=1`.
    pub score: Option<f32>,
    /// Whether it is what was asked for, where that is known.
    pub right: Option<bool>,
}

/// One query with its answers, best first.
#[derive(Clone, Debug)]
pub struct Case {
    /// Picture asked with.
    pub query: Option<Picture>,
    /// Text asked with.
    pub text: Option<String>,
    /// What the query shows: the right product's title, the file's name.
    pub caption: String,
    /// Whether the first answer is right, where that is known.
    pub right: Option<bool>,
    /// Best first.
    pub answers: Vec<Answer>,
}

fn mark(right: Option<bool>) -> Markup {
    html! { @match right {
        Some(true) => span.mark.good role="img" aria-label="right" { "✓" },
        Some(false) => span.mark.bad role="img" aria-label="wrong" { "✗" },
        None => {},
    } }
}

fn tone(right: Option<bool>) -> &'static str {
    match right {
        Some(true) => "good",
        Some(false) => "bad",
        None => "",
    }
}

pub(super) fn render(cases: &[Case]) -> Markup {
    html! { div.gallery { @for case in cases {
        article class=(format!("case {}", tone(case.right))) {
            div.query {
                @if let Some(picture) = &case.query { (picture.render("")) }
                div {
                    @if let Some(text) = &case.text { q { (text) } }
                    p { (mark(case.right)) (case.caption) }
                }
            }
            ol.answers { @for answer in &case.answers {
                li class=(tone(answer.right)) {
                    div.shot { @if let Some(picture) = &answer.picture { (picture.render("")) } @else { span.none { "no picture" } } }
                    p.title { (mark(answer.right)) (answer.title) }
                    p.detail {
                        @if let Some(score) = answer.score.filter(|s| s.is_finite()) { strong { (format!("{score:.2}")) } " " }
                        (answer.detail)
                    }
                }
            } @if case.answers.is_empty() { li { p.detail { "nothing found" } } } }
        }
    } } }
}
