use super::*;
use crate::plan::snapshot::Key;

#[test]
fn a_status_of_the_api_server_has_its_meaning() {
    for (status, meaning) in [
        (Some(404), Meaning::Look),
        (Some(409), Meaning::Look),
        (Some(422), Meaning::Look),
        (Some(429), Meaning::Retry),
        (Some(500), Meaning::Retry),
        (Some(503), Meaning::Retry),
        (Some(599), Meaning::Retry),
        (None, Meaning::Retry),
        (Some(400), Meaning::Slow),
        (Some(403), Meaning::Slow),
        (Some(600), Meaning::Slow),
    ] {
        assert_eq!(kubernetes_meaning(status), meaning, "{status:?}");
    }
}

/// One of each action that calls EC2.
pub fn actions() -> [Action; 5] {
    let (address, ip, eip) = ("eipalloc-1".to_owned(), String::new, Key::new("shop", "web"));
    [
        Action::Allocate { eip: eip.clone(), uid: "e1".into(), pod: "web-0".into() },
        Action::Associate {
            address: address.clone(),
            ip: ip(),
            interface: "eni-1".into(),
            private_ip: [10, 0, 1, 1].into(),
            pod: Key::new("shop", "web-0"),
            pod_uid: "p1".into(),
        },
        Action::Disassociate {
            address: address.clone(),
            ip: ip(),
            association: "eipassoc-1".into(),
            private_ip: ip(),
        },
        Action::Release {
            address: address.clone(),
            ip: ip(),
            eip: Key::new("shop", "web"),
            eip_uid: "e1".into(),
            orphan: false,
        },
        Action::Tag { address, ip: ip(), eip, uid: "e1".into(), from: "e1".into(), undated: true },
    ]
}

#[test]
fn a_code_of_ec2_has_its_meaning_for_each_action() {
    use Meaning::{Denied, Look, Lost, Retry, Slow, Stop, Success};
    for (code, meanings) in [
        // Columns: allocate, associate, disassociate, release, tag.
        ("AddressLimitExceeded", [Stop, Slow, Slow, Slow, Slow]),
        ("InsufficientAddressCapacity", [Slow, Slow, Slow, Slow, Slow]),
        ("InvalidAllocationID.NotFound", [Slow, Retry, Slow, Look, Retry]),
        ("InvalidAddressID.NotFound", [Slow, Retry, Slow, Look, Slow]),
        ("IncorrectInstanceState", [Slow, Retry, Slow, Slow, Slow]),
        ("InvalidInstanceID", [Slow, Retry, Slow, Slow, Slow]),
        ("Resource.AlreadyAssociated", [Slow, Look, Slow, Slow, Slow]),
        ("InvalidNetworkInterfaceID.NotFound", [Slow, Look, Success, Slow, Slow]),
        ("InvalidNetworkInterface.NotFound", [Slow, Look, Success, Slow, Slow]),
        ("InvalidParameterValue", [Slow, Look, Slow, Slow, Slow]),
        ("InvalidAssociationID.NotFound", [Slow, Slow, Success, Slow, Slow]),
        ("InvalidIPAddress.InUse", [Slow, Slow, Slow, Look, Slow]),
        ("InvalidAddress.Locked", [Slow, Slow, Slow, Slow, Slow]),
        ("ConcurrentTagAccess", [Slow, Slow, Slow, Slow, Retry]),
        ("InvalidElasticIpID.NotFound", [Slow, Slow, Slow, Slow, Retry]),
        ("InvalidID", [Slow, Slow, Slow, Slow, Retry]),
        ("AuthFailure", [Slow, Denied, Stop, Slow, Slow]),
        ("UnauthorizedOperation", [Slow, Denied, Stop, Slow, Slow]),
        ("RequestLimitExceeded", [Retry; 5]),
        ("Throttling", [Retry; 5]),
        ("ThrottlingException", [Retry; 5]),
        ("InternalError", [Lost; 5]),
        ("InternalFailure", [Lost; 5]),
        ("ServerInternal", [Lost; 5]),
        ("Unavailable", [Lost; 5]),
        ("ServiceUnavailable", [Lost; 5]),
        ("Timeout", [Lost; 5]),
        ("RequestExpired", [Stop; 5]),
        ("InvalidSecurity.RequestHasExpired", [Stop; 5]),
        ("ExpiredToken", [Stop; 5]),
        ("ExpiredTokenException", [Stop; 5]),
        ("InvalidClientTokenId", [Stop; 5]),
        ("OptInRequired", [Stop; 5]),
        ("PendingVerification", [Stop; 5]),
        ("Blocked", [Stop; 5]),
        ("NoCredentials", [Stop; 5]),
        ("NotConnected", [Retry; 5]),
        ("A.Code.Of.Tomorrow", [Slow; 5]),
    ] {
        for (action, meaning) in actions().iter().zip(meanings) {
            assert_eq!(ec2_meaning(action, code), meaning, "{} {code}", action.verb());
        }
    }
}

#[test]
fn nobody_knows_what_an_error_of_the_server_with_a_new_code_has_done() {
    for action in actions() {
        assert_eq!(ec2_meaning_of_5xx(&action, "A.Code.Of.Tomorrow"), Meaning::Lost);
        assert_eq!(ec2_meaning_of_5xx(&action, "RequestLimitExceeded"), Meaning::Retry);
    }
    // EC2 says this with a status of 500, and it has bought nothing.
    let [allocate, ..] = actions();
    assert_eq!(ec2_meaning_of_5xx(&allocate, "InsufficientAddressCapacity"), Meaning::Slow);
}

#[test]
fn only_a_request_for_fewer_calls_slows_the_calls_down() {
    for (code, throttles) in [
        ("RequestLimitExceeded", true),
        ("Throttling", true),
        ("ThrottlingException", true),
        ("AddressLimitExceeded", false),
        ("Timeout", false),
    ] {
        assert_eq!(is_throttling(code), throttles, "{code}");
    }
}

#[test]
fn a_failure_is_told_by_its_code_and_its_message() {
    let failure = Failure {
        code: "AddressLimitExceeded".into(),
        message: "the maximum number of addresses has been reached".into(),
        meaning: Meaning::Stop,
    };
    let told = "AddressLimitExceeded: the maximum number of addresses has been reached";
    assert_eq!(failure.to_string(), told);
}
