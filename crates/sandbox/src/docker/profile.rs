//! The allow-list of system calls as a seccomp profile for the engine
//! (<https://docs.docker.com/engine/security/seccomp/>).

use serde_json::{Value, json};

use crate::calls::{self, Comparison, Condition};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

pub(super) fn profile() -> String {
    let always: Vec<&str> = calls::NAMES.iter().chain(calls::NAMES_ON_X86_64).copied().collect();
    let mut rules = vec![
        json!({"names": always, "action": "SCMP_ACT_ALLOW"}),
        json!({"names": [calls::ABSENT], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}),
    ];
    for rule in calls::CONDITIONAL {
        let arguments: Vec<Value> = rule.conditions.iter().map(argument).collect();
        rules.push(json!({"names": [rule.name], "action": "SCMP_ACT_ALLOW", "args": arguments}));
    }
    // Without a list of architectures only the machine's own is allowed.
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EPERM, "syscalls": rules}).to_string()
}

fn argument(condition: &Condition) -> Value {
    let Condition { argument, comparison, value } = *condition;
    match comparison {
        Comparison::Is => json!({"index": argument, "value": value, "op": "SCMP_CMP_EQ"}),
        Comparison::IsNot => json!({"index": argument, "value": value, "op": "SCMP_CMP_NE"}),
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
        assert_eq!(rules.len(), 2 + calls::CONDITIONAL.len());
        assert!(rules[0]["names"].as_array().unwrap().contains(&json!("read")));
        assert_eq!(rules[1]["errnoRet"], 38);
        assert!(rules[2..].iter().all(|rule| !rule["args"].as_array().unwrap().is_empty()));
    }
}
