//! How long a client waits before it reconnects.

use std::time::Duration;

#[cfg(doc)]
use super::ClientService;

/// Returns a policy whose delay begins with `initial` and grows by `factor` with each failure in a row, up to `longest`; with
/// jitter.
///
/// The delay after n failures is `min(initial * factor^n, longest)`, plus up to `initial`, so that the clients of a restarted
/// server do not all return at once. The default of a [`ClientService`] is 1 s, 60 s and 1.5, as in Twisted.
#[doc(alias = "backoffPolicy")]
pub fn backoff_policy(initial: Duration, longest: Duration, factor: f64) -> impl Fn(u32, u64) -> Duration + 'static {
    move |failures, random| {
        let exponent = i32::try_from(failures).unwrap_or(i32::MAX);
        let plain = Duration::try_from_secs_f64(initial.as_secs_f64() * factor.powi(exponent)).unwrap_or(longest).min(longest);
        #[expect(clippy::cast_precision_loss, reason = "chance needs no exactness")]
        let jitter = initial.mul_f64(random as f64 / u64::MAX as f64);
        plain.saturating_add(jitter)
    }
}
