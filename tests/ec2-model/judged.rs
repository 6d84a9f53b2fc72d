//! What a call asks of IAM, and what is said to one with `DryRun`.

use super::Model;
use super::ec2::Elastic;
use super::iam::{ACCOUNT, Demand, REGION};
use super::query::{Query, Refusal, VPC, refused, tags_of};

/// What IAM is asked about a call: every resource that it touches.
pub fn demands(model: &Model, query: &Query) -> Result<Vec<Demand>, Refusal> {
    let action = query.need("Action")?;
    let living = |id: &str| model.account.elastics.get(id).filter(|one| one.exists());
    let address = |id: &str| {
        let tags = living(id).map(|one| tags_of(one.tags())).unwrap_or_default();
        Demand::new(action, "elastic-ip", id).with_tags("aws:ResourceTag", &tags)
    };
    let interface = |id: &str| {
        let demand = Demand::new(action, "network-interface", id);
        let vpc = format!("arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{VPC}");
        let is_there = model.account.interfaces.contains_key(id);
        if is_there { demand.with("ec2:Vpc", &vpc) } else { demand }
    };
    Ok(match action {
        "AllocateAddress" => {
            let tags = query.tags("TagSpecification.1.Tag");
            let new =
                |action| Demand::new(action, "elastic-ip", "*").with_tags("aws:RequestTag", &tags);
            let tagging = new("CreateTags").with("ec2:CreateAction", action);
            let tagging = (!tags.is_empty()).then_some(tagging);
            [new(action)].into_iter().chain(tagging).collect()
        }
        "AssociateAddress" => {
            vec![address(query.need("AllocationId")?), interface(query.need("NetworkInterfaceId")?)]
        }
        "DisassociateAddress" => {
            let wanted = query.need("AssociationId")?;
            let of = |one: &Elastic| {
                one.association().filter(|it| it.id == wanted).map(|it| it.interface.clone())
            };
            let all = model.account.elastics.iter();
            let found = all.filter_map(|(id, one)| Some((id, of(one)?))).next();
            match found {
                Some((id, of)) => vec![address(id), interface(&of)],
                None => vec![address("*"), interface("*")],
            }
        }
        "ReleaseAddress" => vec![address(query.need("AllocationId")?)],
        "CreateTags" | "DeleteTags" => {
            let tags = query.tags("Tag");
            let ids = query.list("ResourceId").into_iter();
            ids.map(|id| address(&id).with_tags("aws:RequestTag", &tags)).collect()
        }
        _ => vec![Demand::new(action, "any", "*")],
    })
}

/// The answer to a call with `DryRun` that is allowed. Whether EC2 looks for ids then is not
/// documented; that it does is what people report.
pub fn dry(model: &Model, query: &Query) -> Refusal {
    let lives = |id: &str| model.account.elastics.get(id).is_some_and(|one| one.exists());
    let unknown = match query.get("Action") {
        Some("AssociateAddress" | "ReleaseAddress") => {
            let id = query.get("AllocationId").unwrap_or_default();
            (!lives(id)).then_some("InvalidAllocationID.NotFound")
        }
        Some("DisassociateAddress") => {
            let id = query.get("AssociationId");
            let mut all = model.account.elastics.values().filter_map(|one| one.association());
            (!all.any(|one| Some(one.id.as_str()) == id)).then_some("InvalidAssociationID.NotFound")
        }
        Some("CreateTags") => {
            let all = query.list("ResourceId").iter().all(|id| lives(id));
            (!all).then_some("InvalidElasticIpID.NotFound")
        }
        _ => None,
    };
    let would = "Request would have succeeded, but DryRun flag is set.";
    match unknown {
        Some(code) => refused(code, "refused: an id that is not there".to_owned()),
        None => refused("DryRunOperation", would.to_owned()),
    }
}
