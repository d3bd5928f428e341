//! Families of events: what the demo routes by.

use sayiir::BranchKey;
use serde::{Deserialize, Serialize};

use super::webhook::Webhook;

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident $key:literal [$($event:literal)*])*) => {
        /// A family of events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum Family {
            $($(#[$doc])* $name,)*
            /// Everything else.
            Other,
        }

        impl Family {
            /// Every family but the last, each with an arm of its own; [`Family::Other`] takes the default arm.
            pub(crate) const NAMED: &[Self] = &[$(Self::$name,)*];

            /// The family of an event type.
            pub(crate) fn of(event: &str) -> Self {
                match event {
                    $($($event)|* => Self::$name,)*
                    _ => Self::Other,
                }
            }

            /// The family's name: its arm of the route.
            pub(crate) const fn key(self) -> &'static str {
                match self {
                    $(Self::$name => $key,)*
                    Self::Other => "other",
                }
            }
        }

        impl BranchKey for Family {
            fn as_key(&self) -> &str {
                self.key()
            }

            fn all_keys() -> &'static [&'static str] {
                &[$($key,)* "other"]
            }
        }
    };
}

families! {
    /// Commits, branches and pull requests.
    Code "code" [
        "commit_comment" "create" "delete" "fork" "gollum" "merge_group" "pull_request" "pull_request_review"
        "pull_request_review_comment" "pull_request_review_thread" "push"
    ]
    /// Issues and discussions.
    Talk "talk" ["discussion" "discussion_comment" "issue_comment" "issues" "label"]
    /// Checks, builds and other machines at work.
    Machines "machines" [
        "check_run" "check_suite" "deployment_review" "deployment_status" "page_build" "repository_dispatch" "status"
        "workflow_dispatch" "workflow_job" "workflow_run"
    ]
    /// What goes out to users.
    Shipping "shipping" ["deployment" "package" "release"]
    /// Boards and milestones.
    Planning "planning" ["milestone" "project" "project_card" "project_column" "projects_v2_item"]
    /// Who belongs to what, and who watches.
    People "people" ["member" "membership" "org_block" "organization" "sponsorship" "star" "team" "team_add" "watch"]
    /// Warnings and protections.
    Security "security" [
        "branch_protection_rule" "code_scanning_alert" "dependabot_alert" "deploy_key" "github_app_authorization"
        "repository_vulnerability_alert" "security_advisory"
    ]
}

/// Whether events of this type wait for an approval.
pub(crate) fn needs_approval(event: &str) -> bool {
    matches!(event, "release" | "deployment")
}

/// What a webhook is about, in the words of its family.
pub(crate) fn subject(family: Family, webhook: &Webhook) -> String {
    let places: &[&[&str]] = match family {
        Family::Code => {
            &[&["pull_request", "title"], &["head_commit", "message"], &["comment", "path"], &["forkee", "full_name"], &["ref"]]
        }
        Family::Talk => &[&["issue", "title"], &["discussion", "title"], &["label", "name"]],
        Family::Machines => &[
            &["check_run", "name"],
            &["workflow_job", "name"],
            &["workflow_run", "name"],
            &["check_suite", "head_branch"],
            &["deployment", "environment"],
            &["context"],
            &["workflow"],
            &["build", "status"],
        ],
        Family::Shipping => &[&["release", "tag_name"], &["deployment", "environment"], &["package", "name"]],
        Family::Planning => &[
            &["milestone", "title"],
            &["project", "name"],
            &["project_card", "note"],
            &["project_column", "name"],
            &["projects_v2_item", "content_type"],
        ],
        Family::People => &[
            &["team", "name"],
            &["member", "login"],
            &["blocked_user", "login"],
            &["membership", "user", "login"],
            &["sponsorship", "sponsor", "login"],
        ],
        Family::Security => &[
            &["security_advisory", "summary"],
            &["alert", "rule", "description"],
            &["alert", "security_advisory", "summary"],
            &["alert", "affected_package_name"],
            &["rule", "name"],
            &["key", "title"],
        ],
        Family::Other => &[&["zen"], &["repository", "description"]],
    };
    let found = places.iter().find_map(|place| webhook.text(place));
    let text = found.or_else(|| webhook.text(&["repository", "full_name"])).or_else(|| webhook.text(&["sender", "login"]));
    first_line(text.unwrap_or("nothing in particular"))
}

/// The first line of `text`, cut to a readable length.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 80;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{input, webhook};
    use super::*;

    #[test]
    fn families_have_distinct_keys_and_the_input_meets_each() {
        let keys: BTreeSet<_> = Family::NAMED.iter().map(|family| family.key()).chain([Family::Other.key()]).collect();
        assert_eq!(keys.len(), Family::NAMED.len() + 1);
        let lines = input::read(None).unwrap().lines;
        let met: BTreeSet<_> = lines.iter().map(|line| Family::of(&webhook::parse(&line.text).unwrap().event).key()).collect();
        assert_eq!(met, keys);
    }

    #[test]
    fn releases_and_deployments_are_approved_and_nothing_else() {
        let lines = input::read(None).unwrap().lines;
        let waiting = lines.iter().filter(|line| needs_approval(&webhook::parse(&line.text).unwrap().event));
        assert_eq!(waiting.count(), 13 + 4);
        assert!(!needs_approval("deployment_status"));
    }

    #[test]
    fn the_subject_is_short_and_of_the_family() {
        let issue = webhook::parse(r#"{"event": "issues", "payload": {"issue": {"title": "Help\nme"}}}"#).unwrap();
        assert_eq!(subject(Family::of(&issue.event), &issue), "Help");
        let ping = webhook::parse(r#"{"event": "ping", "payload": {}}"#).unwrap();
        assert_eq!(subject(Family::of(&ping.event), &ping), "nothing in particular");
        assert_eq!(first_line(&"ä".repeat(200)).chars().count(), 80);
    }
}
