use super::*;

fn election(identity: &str) -> Election {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = Client::try_from(config).unwrap();
    Election::new(client, "eip-operator", "eip-operator", identity.to_owned())
}

/// What an election sees now.
fn sees(election: &mut Election, spec: &LeaseSpec) -> Option<String> {
    if election.observed.as_ref().map(|(seen, _)| seen) != Some(spec) {
        election.observed = Some((spec.clone(), Instant::now()));
    }
    election.holder(spec)
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_does_not_change_runs_out_by_the_clock_of_who_looks() {
    let (first, mut second) = (election("first"), election("second"));
    let taken = first.taken(None);
    // Whatever the holder's own clock says.
    let odd = LeaseSpec { renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)), ..taken.clone() };
    for spec in [&taken, &odd] {
        assert_eq!(sees(&mut second, spec).as_deref(), Some("first"));
        tokio::time::advance(DURATION - Duration::from_secs(1)).await;
        assert_eq!(sees(&mut second, spec).as_deref(), Some("first"));
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(sees(&mut second, &odd), None);
    assert_eq!(first.holder(&taken), None, "its own never keeps it out");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_given_back_is_free_at_once() {
    let (first, mut second) = (election("first"), election("second"));
    let free = LeaseSpec { holder_identity: None, ..first.taken(None) };
    assert_eq!(sees(&mut second, &free), None);
    let empty = LeaseSpec { holder_identity: Some(String::new()), ..free };
    assert_eq!(sees(&mut second, &empty), None);
}

#[tokio::test(start_paused = true)]
async fn transitions_count_holders_and_not_renewals() {
    let (first, second) = (election("first"), election("second"));
    let taken = first.taken(None);
    assert_eq!(taken.lease_transitions, Some(0));
    let renewed = first.taken(Some(&taken));
    assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(0), &taken.acquire_time));
    assert_eq!(second.taken(Some(&renewed)).lease_transitions, Some(1));
    let odd = LeaseSpec { lease_transitions: Some(i32::MAX), ..taken };
    assert_eq!(second.taken(Some(&odd)).lease_transitions, Some(i32::MAX));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_anybody_else_may_begin() {
    assert!(ACT_WITHIN + 2 * RETRY < DURATION);
    let (standing, leadership) = watch::channel(Leadership::Leading { until: Instant::now() });
    campaign(election("first"), standing, CancellationToken::new()).await;
    let Leadership::Lost { why } = &*leadership.borrow() else { panic!("{leadership:?}") };
    assert!(why.contains("lease eip-operator/eip-operator could not be renewed"), "{why}");
}
