//! How long a failed attempt waits for the next.

use std::time::Duration;

use sayiir_core::task::RetryPolicy;

/// The longest wait where the policy names none.
const DEFAULT_MAX_DELAY: Duration = Duration::from_hours(24);

/// The wait after the `failed`-th failed attempt (from 1): exponential, capped, less a jitter of up to a
/// tenth. `seed` makes the jitter; equal seeds give equal waits.
pub fn backoff(policy: &RetryPolicy, failed: u32, seed: u64) -> Duration {
    let RetryPolicy { max_retries: _, initial_delay, backoff_multiplier, max_delay } = policy;
    let cap = max_delay.unwrap_or(DEFAULT_MAX_DELAY);
    let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = initial_delay.as_secs_f64() * f64::from(*backoff_multiplier).powi(exponent);
    let delay = if seconds.is_finite() { Duration::try_from_secs_f64(seconds).unwrap_or(cap).min(cap) } else { cap };
    delay.mul_f64(1.0 - fraction(seed) / 10.0)
}

/// A number from 0 to 1 that looks random (the finalizer of `SplitMix64`).
fn fraction(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    f64::from(u32::try_from(x >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let policy = RetryPolicy { max_delay: Some(Duration::from_secs(5)), ..RetryPolicy::with_max_retries(9) };
        for (failed, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (5, 5.0), (4_000_000_000, 5.0)] {
            for seed in 0..100 {
                let wait = backoff(&policy, failed, seed).as_secs_f64();
                assert!(wait <= seconds && wait >= seconds * 0.9 - 1e-9, "{failed}: {wait}");
            }
        }
    }

    #[test]
    fn a_policy_without_growth_or_with_absurd_growth_stays_in_bounds() {
        let mut policy = RetryPolicy { backoff_multiplier: 0.0, ..RetryPolicy::with_max_retries(9) };
        assert_eq!(backoff(&policy, 2, 0), Duration::ZERO);
        policy.backoff_multiplier = f32::MAX;
        assert!(backoff(&policy, 900, 7) <= DEFAULT_MAX_DELAY);
        policy.initial_delay = Duration::MAX;
        assert!(backoff(&policy, 1, 7) <= DEFAULT_MAX_DELAY);
    }
}
