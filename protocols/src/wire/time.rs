//! The time, as a number and as text.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use torsade_reactor::Result;

use crate::protocol::Protocol;
use crate::transport::Transport;

/// The seconds from 1900, where RFC 868 counts from, to 1970.
const FROM_1900_TO_1970: u64 = 2_208_988_800;

/// Sends the seconds since 1900 as four bytes, big-endian, and closes (RFC 868).
///
/// (Twisted sends the seconds since 1970, which is not what the RFC says.) The number wraps around in 2036.
///
/// # Examples
/// ```
/// use std::time::UNIX_EPOCH;
/// use torsade::{testing::StringTransportWithDisconnection, wire::Time};
///
/// let mut connection = StringTransportWithDisconnection::new(Time::new(|| UNIX_EPOCH)); // or SystemTime::now
/// connection.make_connection();
/// assert_eq!(connection.value(), 2_208_988_800_u32.to_be_bytes());
/// ```
pub struct Time<C>(C);

impl<C: Fn() -> SystemTime> Time<C> {
    /// Uses `clock`, usually `SystemTime::now`.
    #[must_use]
    pub const fn new(clock: C) -> Self {
        Self(clock)
    }
}

impl<C: Fn() -> SystemTime> Protocol for Time<C> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let seconds = since_1970(&self.0).wrapping_add(FROM_1900_TO_1970);
        transport.write(&seconds.to_be_bytes()[4..]);
        transport.lose_connection();
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Sends the date and time in UTC as text, and closes (RFC 867): `Sun Sep  9 01:46:40 2001`.
pub struct Daytime<C>(C);

impl<C: Fn() -> SystemTime> Daytime<C> {
    /// Uses `clock`, usually `SystemTime::now`.
    #[must_use]
    pub const fn new(clock: C) -> Self {
        Self(clock)
    }
}

impl<C: Fn() -> SystemTime> Protocol for Daytime<C> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(asctime(since_1970(&self.0)));
        transport.write("\r\n");
        transport.lose_connection();
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Whole seconds since 1970; 0 before that.
fn since_1970(clock: &impl Fn() -> SystemTime) -> u64 {
    clock().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in UTC as C's `asctime` writes it, without the line end.
fn asctime(seconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years start in March here, so that the leap day is the last day of the year. The calendar repeats every 400 years, or
    // 146,097 days; 1970 began 719,468 days after 1 March of the year 0.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    let name = |names: &[&'static str], index: u64| names.iter().cycle().nth(usize::try_from(index).unwrap_or(0)).copied();
    format!(
        "{} {} {day:>2} {:02}:{:02}:{:02} {year}",
        name(&WEEKDAYS, days % 7).unwrap_or_default(),
        name(&MONTHS, month).unwrap_or_default(),
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

impl<C> fmt::Debug for Time<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl<C> fmt::Debug for Daytime<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Daytime")
    }
}

#[cfg(test)]
mod tests {
    use super::asctime;

    #[test]
    fn leap_days_and_turns_of_years_are_right() {
        assert_eq!(asctime(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(asctime(951_782_399), "Mon Feb 28 23:59:59 2000");
        assert_eq!(asctime(951_782_400), "Tue Feb 29 00:00:00 2000");
        assert_eq!(asctime(1_000_000_000), "Sun Sep  9 01:46:40 2001");
        assert_eq!(asctime(4_107_542_399), "Sun Feb 28 23:59:59 2100");
        assert_eq!(asctime(4_107_542_400), "Mon Mar  1 00:00:00 2100");
    }
}
