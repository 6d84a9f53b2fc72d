use super::bell::{delay, passed};
use super::*;
use crate::live::config::Rhythm;

const MIN: Duration = Duration::from_secs(1);
const GAP: Duration = Duration::from_secs(30);

fn reasons<const N: usize>(reasons: [Wake; N]) -> BTreeSet<Wake> {
    BTreeSet::from(reasons)
}

/// The reasons, and how long they took on the paused clock.
async fn timed(mailbox: &mut Mailbox) -> (BTreeSet<Wake>, Duration) {
    let begin = Instant::now();
    (mailbox.next().await, begin.elapsed())
}

/// The paused clock moves in steps of a millisecond.
fn about(elapsed: Duration, expected: Duration) {
    let late = elapsed.checked_sub(expected).expect("too early");
    assert!(late <= Duration::from_millis(2), "{elapsed:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_event_after_a_quiet_time_returns_at_once() {
    let mut mailbox = Mailbox::new(MIN, GAP);
    mailbox.ringer().ring(Wake::Start);
    assert_eq!(timed(&mut mailbox).await, (reasons([Wake::Start]), Duration::ZERO));
    tokio::time::advance(MIN).await;
    mailbox.ringer().ring(Wake::Pod);
    assert_eq!(timed(&mut mailbox).await, (reasons([Wake::Pod]), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_is_woken_by_a_ring() {
    let mut mailbox = Mailbox::new(MIN, GAP);
    let ringer = mailbox.ringer();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(7)).await;
        ringer.ring(Wake::Eip);
    });
    let (reasons_of_this, elapsed) = timed(&mut mailbox).await;
    assert_eq!(reasons_of_this, reasons([Wake::Eip]));
    about(elapsed, Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn the_next_comes_no_sooner_than_the_shortest_interval_and_takes_all_reasons() {
    let mut mailbox = Mailbox::new(MIN, GAP);
    let ringer = mailbox.ringer();
    ringer.ring(Wake::Start);
    mailbox.next().await;
    for reason in [Wake::Pod, Wake::Eip, Wake::Pod] {
        ringer.ring(reason);
    }
    let late = mailbox.ringer();
    tokio::spawn(async move {
        tokio::time::sleep(MIN / 2).await;
        late.ring(Wake::Progress);
    });
    let (all, elapsed) = timed(&mut mailbox).await;
    assert_eq!(all, reasons([Wake::Eip, Wake::Pod, Wake::Progress]));
    about(elapsed, MIN);
    // Nothing is left over: the next reason is the watchdog's.
    assert_eq!(mailbox.next().await, reasons([Wake::Watchdog]));
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_wakes_after_twice_the_gap_since_the_last_start() {
    let mut mailbox = Mailbox::new(MIN, GAP);
    let (first, elapsed) = timed(&mut mailbox).await;
    assert_eq!(first, reasons([Wake::Watchdog]));
    about(elapsed, 2 * GAP);
    // A cycle of 20 s counts: the watchdog waits since its start.
    tokio::time::advance(Duration::from_secs(20)).await;
    let (second, elapsed) = timed(&mut mailbox).await;
    assert_eq!(second, reasons([Wake::Watchdog]));
    about(elapsed, 2 * GAP - Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_keeps_the_shortest_interval_too() {
    let mut mailbox = Mailbox::new(5 * GAP, GAP);
    mailbox.ringer().ring(Wake::Start);
    mailbox.next().await;
    let (woken, elapsed) = timed(&mut mailbox).await;
    assert_eq!(woken, reasons([Wake::Watchdog]));
    about(elapsed, 5 * GAP);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_takes_nothing() {
    let mut mailbox = Mailbox::new(MIN, GAP);
    mailbox.ringer().ring(Wake::Start);
    mailbox.next().await;
    mailbox.ringer().ring(Wake::Pod);
    assert!(tokio::time::timeout(MIN / 2, mailbox.next()).await.is_err());
    let (kept, elapsed) = timed(&mut mailbox).await;
    assert_eq!(kept, reasons([Wake::Pod]));
    about(elapsed, MIN / 2);
}

#[tokio::test(start_paused = true)]
async fn only_exposure_is_urgent_and_it_is_not_taken() {
    let mut mailbox = Mailbox::new(MIN, GAP);
    for reason in [Wake::Interval, Wake::Progress, Wake::Start, Wake::Eip, Wake::Pod] {
        mailbox.ringer().ring(reason);
    }
    assert!(tokio::time::timeout(GAP, mailbox.urgent()).await.is_err());
    let ringer = mailbox.ringer();
    let begin = Instant::now();
    tokio::spawn(async move {
        tokio::time::sleep(MIN).await;
        ringer.ring(Wake::Exposure);
    });
    mailbox.urgent().await;
    about(begin.elapsed(), MIN);
    assert!(mailbox.next().await.contains(&Wake::Exposure));
    assert!(tokio::time::timeout(GAP, mailbox.urgent()).await.is_err(), "it was taken");
}

#[test]
fn the_next_ring_is_what_is_left_of_the_interval_give_or_take_a_tenth() {
    let seconds = Duration::from_secs;
    assert_eq!(delay(seconds(30), seconds(0), 0), seconds(27));
    assert_eq!(delay(seconds(30), seconds(0), u64::MAX), seconds(33));
    assert_eq!(delay(seconds(30), seconds(10), u64::MAX / 2), seconds(20));
    // The scheduler would round less than a second down to none.
    assert_eq!(delay(seconds(30), seconds(40), 0), seconds(1));
    assert_eq!(delay(seconds(1), seconds(0), 0), seconds(1));
}

#[test]
fn the_ticks_of_a_cycle_are_those_that_its_time_has_passed() {
    let seconds = Duration::from_secs;
    let of_thirty = |elapsed| passed(seconds(30), seconds(elapsed));
    assert_eq!([0, 29, 30, 59, 61].map(of_thirty), [0, 0, 1, 1, 2]);
}

#[test]
fn a_schedule_has_six_fields_and_comes_true() {
    assert_eq!(Schedule::read("*/5 * * * *"), Err(ScheduleError::Fields(5)));
    assert_eq!(Schedule::read("0 0 0 1 1 * 2099"), Err(ScheduleError::Fields(7)));
    assert_eq!(Schedule::read("0 61 * * * *"), Err(ScheduleError::Syntax));
    assert_eq!(Schedule::read("a b c d e f"), Err(ScheduleError::Syntax));
    assert_eq!(Schedule::read("0 0 0 30 2 *"), Err(ScheduleError::Never));
    assert!(Schedule::read("0 0 0 29 2 *").is_ok(), "it comes true in a leap year");
}

#[test]
fn the_gap_of_a_schedule_covers_its_rests() {
    let hours = |text| Schedule::read(text).unwrap().longest_gap().as_secs() / 3600;
    assert_eq!(hours("*/10 * * * * *"), 2, "two hours at least");
    assert_eq!(hours("0 0 3 * * *"), 24);
    assert_eq!(hours("0 0 9-17 * * MON-FRI"), 64, "the weekend");
}

/// A reason of the real scheduler. It is waited for, and not on the clock of the mailbox.
async fn rung(mailbox: &mut Mailbox) -> BTreeSet<Wake> {
    let wait = tokio::time::timeout(Duration::from_secs(60), mailbox.next());
    wait.await.expect("the bell did not ring within 60s")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interval_rings_once_for_each_rearm() {
    let mut mailbox = Mailbox::new(Duration::ZERO, Duration::from_secs(600));
    let rhythm = Rhythm::Every(Duration::from_secs(1));
    let mut bell = CronBell::start(rhythm, mailbox.ringer()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bell.rearm(Duration::ZERO).await.unwrap(), 0);
        assert_eq!(rung(&mut mailbox).await, reasons([Wake::Interval]));
    }
    // Not armed again, it is silent.
    let silence = tokio::time::timeout(Duration::from_secs(3), mailbox.next());
    assert!(silence.await.is_err(), "it rang without being armed");
    bell.shut().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn arming_again_takes_the_last_ring_back() {
    let mut mailbox = Mailbox::new(Duration::ZERO, Duration::from_secs(600));
    let rhythm = Rhythm::Every(Duration::from_secs(5));
    let mut bell = CronBell::start(rhythm, mailbox.ringer()).await.unwrap();
    // Most of the interval has passed, so this would ring first.
    bell.rearm(Duration::from_secs(2)).await.unwrap();
    bell.rearm(Duration::ZERO).await.unwrap();
    assert_eq!(rung(&mut mailbox).await, reasons([Wake::Interval]));
    let silence = tokio::time::timeout(Duration::from_secs(3), mailbox.next());
    assert!(silence.await.is_err(), "the ring that was taken back came too");
    bell.shut().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_came_during_a_cycle_is_taken_back_too() {
    let mut mailbox = Mailbox::new(Duration::ZERO, Duration::from_secs(600));
    let rhythm = Rhythm::Every(Duration::from_secs(5));
    let mut bell = CronBell::start(rhythm, mailbox.ringer()).await.unwrap();
    bell.rearm(Duration::from_secs(4)).await.unwrap();
    // A cycle that something else started, while it rings.
    tokio::time::sleep(Duration::from_secs(4)).await;
    bell.rearm(Duration::ZERO).await.unwrap();
    let waiting = tokio::time::timeout(Duration::ZERO, mailbox.next()).await;
    assert!(waiting.is_err(), "the cycle that has just ended was the look that it rang for");
    assert_eq!(rung(&mut mailbox).await, reasons([Wake::Interval]));
    bell.shut().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_of_a_schedule_that_nobody_could_answer_are_counted() {
    let mut mailbox = Mailbox::new(Duration::ZERO, Duration::from_secs(600));
    let rhythm = Rhythm::At(Schedule::read("* * * * * *").unwrap());
    let mut bell = CronBell::start(rhythm, mailbox.ringer()).await.unwrap();
    assert_eq!(rung(&mut mailbox).await, reasons([Wake::Interval]));
    assert_eq!(bell.rearm(Duration::ZERO).await.unwrap(), 0, "the one was answered");
    // One waits, and at least one more finds it waiting.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(bell.rearm(Duration::from_secs(4)).await.unwrap() > 0);
    bell.shut().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_rings_until_the_bell_is_shut() {
    let mut mailbox = Mailbox::new(Duration::ZERO, Duration::from_secs(600));
    let rhythm = Rhythm::At(Schedule::read("* * * * * *").unwrap());
    let mut bell = CronBell::start(rhythm, mailbox.ringer()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(rung(&mut mailbox).await, reasons([Wake::Interval]));
    }
    bell.shut().await.unwrap();
    // The scheduler looks at its flag every half second; one ring may be under way.
    let _ = tokio::time::timeout(Duration::from_secs(2), mailbox.next()).await;
    let silence = tokio::time::timeout(Duration::from_secs(3), mailbox.next());
    assert!(silence.await.is_err(), "it rang after it was shut");
}
