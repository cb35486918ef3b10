//! Budgets and limits of files.

use super::super::governance::{FilePlace, FileScope};
use super::super::objects::{FileOrganization, Located};
use super::{ConfigurationProblem, wrong};
use crate::governance::{budget_errors, limit_errors, tag_errors};
use crate::problem::FieldError;

pub(super) fn check_governance(organization: &FileOrganization, problems: &mut Vec<ConfigurationProblem>) {
    let has_model = |name: &str| organization.models.iter().any(|model| model.value.name.matches(name));
    for located in &organization.budgets {
        let draft = located.value.draft(located.value.scope.preview());
        report(problems, located, budget_errors(&draft, &has_model));
        report(problems, located, place_error(&located.value.scope, organization));
    }
    for located in &organization.limits {
        let draft = located.value.draft(located.value.scope.preview());
        report(problems, located, limit_errors(&draft, &has_model));
        report(problems, located, place_error(&located.value.scope, organization));
    }
    for located in &organization.models {
        for (position, message) in tag_errors(&located.value.tags) {
            let field = position.map_or("tags".to_owned(), |position| format!("tags[{position}]"));
            wrong(problems, located, &field, message);
        }
    }
}

fn report<T>(
    problems: &mut Vec<ConfigurationProblem>,
    located: &Located<T>,
    errors: impl IntoIterator<Item = FieldError>,
) {
    for error in errors {
        wrong(problems, located, &error.field, error.message);
    }
}

/// What the scope names and the files do not have.
fn place_error(scope: &FileScope, organization: &FileOrganization) -> Option<FieldError> {
    let (kind, name, known) = match &scope.place {
        FilePlace::Team(name) => {
            ("team", name, organization.teams.iter().any(|team| team.value.name == *name))
        }
        FilePlace::Project(name) => {
            ("project", name, organization.teams.iter().any(|team| team.value.projects.contains(name)))
        }
        FilePlace::Key(name) => ("key", name, organization.keys.iter().any(|key| key.value.name == *name)),
        FilePlace::Provider(name) => {
            let known = organization.providers.iter().any(|provider| provider.value.name == *name);
            ("provider", name, known)
        }
        FilePlace::Organization
        | FilePlace::Customer(_)
        | FilePlace::User(_)
        | FilePlace::Group(_)
        | FilePlace::ServiceAccount(_) => return None,
    };
    (!known).then(|| FieldError {
        field: format!("scope.place.{kind}"),
        message: format!("names a {kind} that the files do not have: `{name}`"),
    })
}
