//! Durations as people write them: `100ms`, `30s`, `5m`, `24h`, `7d`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

/// The duration that a literal says.
pub(crate) fn parse(literal: &LitStr) -> syn::Result<TokenStream> {
    let millis = millis(&literal.value()).ok_or_else(|| {
        let text = literal.value();
        syn::Error::new(
            literal.span(),
            format!("{text:?} is no duration: write a whole number and a unit, as \"100ms\", \"30s\", \"5m\", \"24h\" or \"7d\""),
        )
    })?;
    Ok(quote!(::std::time::Duration::from_millis(#millis)))
}

fn millis(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn durations_are_read() {
        assert_eq!(["100ms", "30s", "5m", "24h", "7d", "1 s"].map(millis), [100, 30_000, 300_000, 86_400_000, 604_800_000, 1000].map(Some));
        assert_eq!(["", "30", "s", "1.5s", "-1s", "1 week", "99999999999999999999d", "18446744073709551615d"].map(millis), [None; 8]);
    }
}
