//! The words a product is found by.

/// Texts of a product: its name as a shopper would type it, and the same with category and description where they say
/// more. Empty ones are left out.
pub fn product_texts(title: &str, brand: &str, category: &str, description: &str) -> Vec<String> {
    let join = |parts: &[&str]| {
        let parts: Vec<&str> = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).collect();
        parts.join(" ")
    };
    // A brand that the title repeats would count twice.
    let brand = if title.to_lowercase().contains(&brand.to_lowercase()) { "" } else { brand };
    let name = join(&[brand, title]);
    let long = join(&[&name, category, description]);
    let mut texts = vec![name];
    if !texts.contains(&long) {
        texts.push(long);
    }
    texts.retain(|text| !text.is_empty());
    texts
}

/// All that is known of a product in words, for an encoder that reads them together with a picture; `None` if nothing is.
pub fn product_words(title: &str, brand: &str, category: &str, description: &str) -> Option<String> {
    product_texts(title, brand, category, description).pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_all_that_is_known() {
        let texts = |t, b, c, d| product_texts(t, b, c, d);
        assert_eq!(
            texts("Oat milk", "Nordlys", "Drinks", " "),
            ["Nordlys Oat milk", "Nordlys Oat milk Drinks"]
        );
        assert_eq!(texts("Nordlys oat milk", "nordlys", "", ""), ["Nordlys oat milk"]);
        assert_eq!(texts("", "", "Drinks", ""), ["Drinks"]);
        assert!(texts(" ", "", "", "").is_empty());
        assert_eq!(product_words("Oat milk", "Nordlys", "Drinks", "").unwrap(), "Nordlys Oat milk Drinks");
        assert_eq!(product_words("", " ", "", ""), None);
    }
}
