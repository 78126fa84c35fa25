//! Special tokens around a text.

use serde_json::Value;

use super::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text,
    Special(Vec<u32>),
}

/// Where the text and its special tokens go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

/// Most tokens that may be added to a text.
const MAX_SPECIAL: usize = 1024;

impl Template {
    /// Tokens it adds.
    pub fn special(&self) -> usize {
        self.0.iter().map(|part| if let Part::Special(ids) = part { ids.len() } else { 0 }).sum()
    }

    pub fn around(&self, text: &[u32]) -> Vec<u32> {
        let ids = self.0.iter().flat_map(|part| match part {
            Part::Text => text,
            Part::Special(ids) => ids,
        });
        ids.copied().collect()
    }
}

pub(super) fn read(value: &Value) -> Result<Template, Refusal> {
    let mut parts = vec![Part::Text];
    extend(value, &mut parts)?;
    let template = Template(parts);
    if template.0.iter().filter(|part| **part == Part::Text).count() != 1 {
        return Err(Refusal::unknown("a post-processor that does not take the text once"));
    }
    if template.special() > MAX_SPECIAL {
        return Err(Refusal::broken(format!("more than {MAX_SPECIAL} special tokens")));
    }
    Ok(template)
}

/// Puts what a processor adds around what those before it added.
fn extend(value: &Value, parts: &mut Vec<Part>) -> Result<(), Refusal> {
    let kind = value["type"].as_str().unwrap_or_default();
    let around: Vec<Part> = match kind {
        "" if value.is_null() => return Ok(()),
        // Moves offsets, which are not used here.
        "ByteLevel" => return Ok(()),
        "Sequence" => {
            let all = value["processors"].as_array().ok_or_else(|| Refusal::broken("an empty Sequence"))?;
            return all.iter().try_for_each(|one| extend(one, parts));
        }
        "BertProcessing" | "RobertaProcessing" => {
            let token = |name: &str| {
                let id = value[name][1].as_u64().and_then(|id| u32::try_from(id).ok());
                id.ok_or_else(|| Refusal::broken(format!("{kind} without `{name}`")))
            };
            vec![Part::Special(vec![token("cls")?]), Part::Text, Part::Special(vec![token("sep")?])]
        }
        "TemplateProcessing" => template(value)?,
        other => return Err(Refusal::unknown(format!("the post-processor {other}"))),
    };
    let inner = std::mem::take(parts);
    for part in around {
        match part {
            Part::Text => parts.extend(inner.iter().cloned()),
            special => parts.push(special),
        }
    }
    Ok(())
}

fn template(value: &Value) -> Result<Vec<Part>, Refusal> {
    let single = value["single"].as_array().ok_or_else(|| Refusal::unknown("a template that is no list"))?;
    let part = |piece: &Value| {
        if piece["Sequence"]["id"] == "A" {
            return Ok(Part::Text);
        }
        let name = piece["SpecialToken"]["id"].as_str();
        let name = name.ok_or_else(|| Refusal::broken("a template with a part that is neither"))?;
        let ids = value["special_tokens"][name]["ids"].as_array();
        let ids = ids.and_then(|ids| ids.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect());
        ids.map(Part::Special).ok_or_else(|| Refusal::broken(format!("the template lacks {name:?}")))
    };
    single.iter().map(part).collect()
}
