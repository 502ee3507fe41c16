//! The allow-list of system calls as a seccomp profile for the engine
//! (<https://docs.docker.com/engine/security/seccomp/>).

use serde_json::{Value, json};

use crate::calls::{self, Comparison, Condition, RefusedCall};

pub(super) fn profile() -> String {
    let always: Vec<&str> = calls::NAMES.iter().chain(calls::NAMES_ON_X86_64).copied().collect();
    let mut rules = vec![json!({"names": always, "action": "SCMP_ACT_ALLOW"})];
    for rule in calls::conditional() {
        for arguments in alternatives(&rule.conditions) {
            rules.push(json!({"names": [rule.name], "action": "SCMP_ACT_ALLOW", "args": arguments}));
        }
    }
    for RefusedCall { rule, errno } in calls::refused() {
        let mut refusal = json!({"names": [rule.name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno});
        if !rule.conditions.is_empty() {
            refusal["args"] = rule.conditions.iter().map(argument).collect();
        }
        rules.push(refusal);
    }
    // Without a list of architectures only the machine's own is allowed.
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": calls::NOT_ON_THE_LIST, "syscalls": rules})
        .to_string()
}

/// The conditions of one rule as arguments of one or more. The engine compares all 64 bits, the kernel looks at the lower 32:
/// a value that only differs above them would pass for another one. So "is not" becomes a rule for each bit that can differ.
fn alternatives(conditions: &[Condition]) -> Vec<Value> {
    match conditions {
        [Condition { argument: index, comparison: Comparison::IsNot, value }] => (0..u32::BITS)
            .map(|bit| {
                let comparison = Comparison::Masked(1 << bit);
                json!([argument(&Condition { argument: *index, comparison, value: !value & (1 << bit) })])
            })
            .collect(),
        _ => vec![conditions.iter().map(argument).collect()],
    }
}

fn argument(condition: &Condition) -> Value {
    let Condition { argument, comparison, value } = *condition;
    match comparison {
        Comparison::Is => json!({"index": argument, "value": value, "op": "SCMP_CMP_EQ"}),
        // Never reached for a rule of one condition; see `alternatives`.
        Comparison::IsNot => json!({"index": argument, "value": value, "op": "SCMP_CMP_NE"}),
        Comparison::Masked(mask) => {
            json!({"index": argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"})
        }
        Comparison::HasNone => {
            json!({"index": argument, "value": value, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_allows_only_the_listed_calls() {
        let profile: Value = serde_json::from_str(&profile()).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let rules = profile["syscalls"].as_array().unwrap();
        assert!(rules[0]["names"].as_array().unwrap().contains(&json!("read")));
        let allowed = |rule: &&Value| rule["action"] == "SCMP_ACT_ALLOW";
        assert!(rules[1..].iter().filter(allowed).all(|rule| !rule["args"].as_array().unwrap().is_empty()));
        assert!(!profile.to_string().contains("SCMP_CMP_NE"), "it would compare 64 bits");
        let refused: Vec<_> = rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ERRNO").collect();
        assert!(refused.iter().all(|rule| rule["errnoRet"].as_u64() > Some(1)));
        assert_eq!(refused.len(), calls::refused().len());
    }
}
