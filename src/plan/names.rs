//! The names users and other tools rely on: labels, annotations, finalizers and tags.
//!
//! They are those of the operator this one succeeds, so that a cluster can change over in place.

/// Label that puts a pod in our care, with the value [`TRUE`] exactly.
pub const MANAGE_LABEL: &str = "eip.materialize.cloud/manage";
/// Label that asks for an Eip made, and later deleted, for this one pod.
pub const AUTOCREATE_LABEL: &str = "eip.materialize.cloud/autocreate_eip";
/// Label on an Eip that the operator made; one without it is a person's and is never deleted.
pub const AUTOCREATED_LABEL: &str = "eip.materialize.cloud/autocreated";
/// The only value that counts: `manage=false` must not mean "managed".
pub const TRUE: &str = "true";

/// Annotation that external-dns 0.22 and later read.
pub const TARGET_ANNOTATION: &str = "external-dns.kubernetes.io/target";
/// The same for external-dns before 0.22.
pub const ALPHA_TARGET_ANNOTATION: &str = "external-dns.alpha.kubernetes.io/target";
/// Annotation with the allocation id; its presence says that the three annotations are ours.
pub const ALLOCATION_ANNOTATION: &str = "eip.materialize.cloud/allocation_id";

/// Finalizer on Eips: the durable intent to own an address, there before anything is bought.
pub const FINALIZER: &str = "eip.materialize.cloud/destroy";
/// Finalizers that the older operator left on pods; they block drains and are removed.
pub const LEGACY_POD_FINALIZERS: [&str; 2] =
    ["eip.materialize.cloud/disassociate", "eip.aws.materialize.com/disassociate"];
/// On an Eip, with the value [`TRUE`]: its address is not released.
pub const PROTECT_ANNOTATION: &str = "eip.materialize.cloud/protect";
/// On the definition of Eips while it is being deleted: the addresses may go with it.
pub const RELEASE_ALL: &str = "eip.materialize.cloud/release-all";
/// Field manager of every write.
pub const FIELD_MANAGER: &str = "eip.materialize.cloud";

/// Tag: uid of the Eip an address belongs to.
pub const EIP_UID_TAG: &str = "eip.materialize.cloud/eip_uid";
/// Tag: name of that Eip.
pub const EIP_NAME_TAG: &str = "eip.materialize.cloud/eip_name";
/// Tag: namespace of that Eip.
pub const NAMESPACE_TAG: &str = "eip.materialize.cloud/namespace";
/// Tag: `CLUSTER_NAME` of the operator that bought the address.
pub const CLUSTER_NAME_TAG: &str = "eip.materialize.cloud/cluster_name";
/// Tag: uid of the kube-system namespace, which tells clusters of one name apart.
pub const CLUSTER_UID_TAG: &str = "eip.materialize.cloud/cluster_uid";
/// Tag: the pod at allocation; informational.
pub const POD_NAME_TAG: &str = "eip.materialize.cloud/pod_name";
/// Tag: when the address was bought (RFC 3339), since EC2 does not say.
pub const ALLOCATED_AT_TAG: &str = "eip.materialize.cloud/allocated_at";
/// Tag that the AWS console shows as the name.
pub const NAME_TAG: &str = "Name";

/// The longest tag value EC2 accepts, in characters (EC2 user guide, "Tag restrictions").
pub const TAG_VALUE_MAX: usize = 256;

/// The `Name` tag, `eip-operator:CLUSTER:NAMESPACE:EIP`. One that would be too long is cut and
/// ends in a digest of the whole, so that two long names stay apart.
pub fn name_tag(cluster: &str, namespace: &str, eip: &str) -> String {
    let full = format!("eip-operator:{cluster}:{namespace}:{eip}");
    if full.chars().count() <= TAG_VALUE_MAX {
        return full;
    }
    let digest = digest(full.as_bytes());
    let kept: String = full.chars().take(TAG_VALUE_MAX - digest.len() - 1).collect();
    format!("{kept}-{digest}")
}

/// Whether this can be the id of an Elastic IP: a prefix and 17 hexadecimal digits, eight in older
/// ones (EC2 user guide, "Resource IDs"); any number up to 32 is accepted.
pub fn is_allocation_id(text: &str) -> bool {
    let digits = text.strip_prefix("eipalloc-").unwrap_or_default();
    (1..=32).contains(&digits.len()) && digits.chars().all(|digit| digit.is_ascii_hexdigit())
}

/// Sixteen hexadecimal digits of FNV-1a, which stays the same across releases of Rust.
pub fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_tag_fits_and_stays_distinct() {
        let (one, two) = ("x".repeat(253), format!("{}y", "x".repeat(252)));
        let a = name_tag(&"c".repeat(100), &"n".repeat(63), &one);
        let b = name_tag(&"c".repeat(100), &"n".repeat(63), &two);
        assert_eq!(a.chars().count(), TAG_VALUE_MAX);
        assert_ne!(a, b);
        assert_eq!(name_tag("demo", "shop", "web"), "eip-operator:demo:shop:web");
    }

    #[test]
    fn an_id_is_told_from_what_a_filter_of_ec2_takes_for_many() {
        for id in ["eipalloc-1", "eipalloc-0a1b2c3d", "eipalloc-0a1b2c3d4e5f60718"] {
            assert!(is_allocation_id(id), "{id}");
        }
        let long = format!("eipalloc-{}", "0".repeat(33));
        for other in
            ["", "eipalloc-", "eipalloc-*", "eipalloc-?", "eipalloc-0 ", "eipassoc-1", &long]
        {
            assert!(!is_allocation_id(other), "{other}");
        }
    }
}
