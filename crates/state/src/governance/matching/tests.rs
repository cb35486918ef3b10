use tollgate_core::{BudgetId, LimitId, ModelPattern, NanoUsd, TeamId, UnixMicros};

use super::*;
use crate::governance::{
    BudgetMode, Clamp, LimitMeter, LimitPeriod, LimitSharing, OnExhausted, Unpriced, Window, WindowKind,
};
use crate::objects::Owner;
use crate::principal::Payer;

fn budget(organization_id: OrganizationId, scope: Scope) -> BudgetObject {
    BudgetObject {
        id: BudgetId::generate(),
        organization_id,
        name: "b".into(),
        scope,
        amount_nano_usd: NanoUsd::new(1),
        window: Window { kind: WindowKind::Month, time_zone: "UTC".into() },
        mode: BudgetMode::Hard,
        clamp: Clamp::Missing,
        thresholds_percent: vec![],
        on_exhausted: OnExhausted::Refuse,
        unpriced: Unpriced::Refuse,
        server_tools_nano_usd: None,
        increases: vec![],
        enabled: true,
        owner: Owner::Api,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

fn at(place: Place) -> Scope {
    Scope { place, each: None, model: None }
}

fn matched(governance: &Governance, facts: &CallFacts<'_>) -> Vec<(usize, Member)> {
    let mut found = Vec::new();
    governance.budgets_of(facts, |slot, member| found.push((slot, member)));
    found
}

#[test]
fn what_applies_is_found_by_place_model_and_member() {
    let organization_id = OrganizationId::generate();
    let (team_id, key_id) = (TeamId::generate(), KeyId::generate());
    let name = |pattern: &str| Some(ModelSelector::Name(ModelPattern::parse(pattern).unwrap()));
    let budgets = [
        budget(organization_id, at(Place::Organization)),
        budget(OrganizationId::generate(), at(Place::Organization)),
        budget(organization_id, at(Place::Team(TeamId::generate()))),
        budget(organization_id, Scope { place: Place::Team(team_id), each: Some(Each::Key), model: None }),
        budget(organization_id, Scope { place: Place::Team(team_id), each: None, model: name("gpt-*") }),
        budget(
            organization_id,
            Scope { place: Place::Organization, each: None, model: Some(ModelSelector::Tag("cheap".into())) },
        ),
        budget(
            organization_id,
            Scope { place: Place::Organization, each: Some(Each::Customer), model: None },
        ),
        BudgetObject { enabled: false, ..budget(organization_id, at(Place::Organization)) },
    ];
    let governance = Governance::new(&budgets, &[]);
    let principal = Principal {
        subject: Subject::None,
        payer: Payer { organization_id, team_id: Some(team_id), project_id: None },
        key_id: Some(key_id),
        credential_id: None,
    };
    let nothing =
        CallFacts { principal: &principal, groups: &[], customer: None, model: None, upstream: None };
    let key = Member::Id(key_id.into_bytes());
    assert_eq!(
        matched(&governance, &nothing),
        [(0, Member::All), (6, Member::OtherCustomers), (3, key.clone())]
    );
    let tags: [Box<str>; 1] = ["cheap".into()];
    let all = CallFacts { model: Some(("gpt-5", &tags)), customer: Some("ann"), ..nothing };
    assert_eq!(
        matched(&governance, &all),
        [(0, Member::All), (5, Member::All), (6, Member::Customer("ann".into())), (3, key), (4, Member::All)]
    );
}

#[test]
fn a_burst_is_a_tenth_and_at_least_one() {
    let limit = LimitObject {
        id: LimitId::generate(),
        organization_id: OrganizationId::generate(),
        name: "l".into(),
        scope: at(Place::Organization),
        meter: LimitMeter::Requests,
        amount: 60,
        per: LimitPeriod::Minute,
        burst: None,
        sharing: LimitSharing::Leased,
        enabled: true,
        owner: Owner::Api,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    };
    assert_eq!(limit.burst(), 6);
    assert_eq!(LimitObject { amount: 5, ..limit }.burst(), 1);
}
