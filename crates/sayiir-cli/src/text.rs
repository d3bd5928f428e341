//! Words for people: times, durations, and stored text, of which no control character reaches a terminal.

use std::time::Duration;

use sayiir::core::time::Timestamp;

/// Stored text in one line, without what could steer a terminal.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            '\r' => {}
            // Controls, and the marks that turn the direction of text around.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A length of time in at most two units: `<1ms`, `1.34s`, `2m 3s`, `5d 2h`.
pub(crate) fn duration(length: Duration) -> String {
    let length = length + Duration::from_micros(500);
    let seconds = length.as_secs();
    let two = |big: u64, unit: &str, small: u64, lesser: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit} {small}{lesser}") }
    };
    match seconds {
        0 if length.as_millis() == 0 => "<1ms".to_owned(),
        0 => format!("{}ms", length.as_millis()),
        1..60 => {
            let hundredths = length.subsec_millis() / 10;
            if hundredths == 0 { format!("{seconds}s") } else { format!("{seconds}.{hundredths:02}s") }
        }
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// How long ago, or in how long, in one unit.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", one_unit(at.since(now))) } else { format!("{} ago", one_unit(now.since(at))) }
}

/// A length of time in its largest unit, rounded down.
pub(crate) fn one_unit(length: Duration) -> String {
    match length.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A time to the second, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    chrono::DateTime::<chrono::Utc>::from(at).format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A time to the millisecond, in UTC.
pub(crate) fn precise_time(at: Timestamp) -> String {
    chrono::DateTime::<chrono::Utc>::from(at).format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

/// A time both ways: `2026-01-02 03:04:05Z (2h ago)`.
pub(crate) fn both_times(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", time(at), relative(at, now))
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Reads a length of time: numbers with units, such as `30d`, `90s` or `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time; write 500ms, 90s, 15m, 12h, 30d, 2w or several of them");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = behind.trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_said() {
        for (text, millis) in
            [("90s", 90_000), ("1h30m", 5_400_000), ("500ms", 500), ("2w", 1_209_600_000), ("1d 2h", 93_600_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "d", "5y", "-3s", "1.5h", "99999999999999999999d", "999999999999999999w"] {
            assert!(parse_duration(text).unwrap_err().contains("length of time"), "{text}");
        }
        for (micros, text) in [
            (499, "<1ms"),
            (850, "1ms"),
            (12_345, "12ms"),
            (1_000_000, "1s"),
            (1_349_000, "1.34s"),
            (123_000_000, "2m 3s"),
            (7_200_000_000, "2h"),
            (439_200_000_000, "5d 2h"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_micros(1_767_323_045_678_000);
        assert_eq!(both_times(now, now), "2026-01-02 03:04:05Z (0s ago)");
        assert_eq!(precise_time(now), "2026-01-02 03:04:05.678Z");
        assert_eq!(relative(now + Duration::from_secs(150), now), "in 2m");
        assert_eq!(relative(now, now + Duration::from_hours(3)), "3h ago");
        assert_eq!(relative(now, now + Duration::from_hours(80)), "3d ago");
    }

    #[test]
    fn stored_text_cannot_steer_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mred\r\nnext\tcell\u{202e}x\n"), "a\u{fffd}[31mred next cell\u{fffd}x");
    }
}
