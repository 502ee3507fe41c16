//! The seccomp filters, compiled from the list in `calls.rs`.

use std::collections::BTreeMap;
use std::io;

use libc::{ENOSYS, EPERM};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::Refusal;
use crate::calls::{self, Comparison, Condition};
use crate::error::At;

pub(super) struct Filters([BpfProgram; 2]);

pub(super) fn compile() -> Result<Filters, Refusal> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(io::Error::other)
        .at("choosing the system calls")?;
    let compiled = |program: Result<_, BackendError>| {
        program.map_err(io::Error::other).at("compiling the filter of system calls")
    };
    // In this order: the second filter forbids setting another one.
    Ok(Filters([compiled(absent(arch))?, compiled(allowed(arch))?]))
}

impl Filters {
    /// Applies them to this process and all that it starts. Needs `no_new_privs`.
    pub(super) fn apply(&self) -> Result<(), Refusal> {
        for program in &self.0 {
            seccompiler::apply_filter(program)
                .map_err(io::Error::other)
                .at("setting the filter of system calls")?;
        }
        Ok(())
    }
}

/// `EPERM` for all calls that are not on the list.
fn allowed(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        calls::NUMBERS.iter().chain(calls::OLDER_NUMBERS).map(|call| (*call, vec![])).collect();
    // The other filter refuses `clone3`.
    rules.insert(libc::SYS_clone3, vec![]);
    for rule in calls::CONDITIONAL {
        let conditions = rule.conditions.iter().map(condition).collect::<Result<_, _>>()?;
        rules.entry(number(rule.name)).or_default().push(SeccompRule::new(conditions)?);
    }
    SeccompFilter::new(rules, SeccompAction::Errno(EPERM.cast_unsigned()), SeccompAction::Allow, arch)?
        .try_into()
}

fn absent(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(number(calls::ABSENT), vec![])]);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(ENOSYS.cast_unsigned()), arch)?
        .try_into()
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let (operator, value) = match condition.comparison {
        Comparison::Is => (SeccompCmpOp::Eq, condition.value),
        Comparison::IsNot => (SeccompCmpOp::Ne, condition.value),
        Comparison::HasNone => (SeccompCmpOp::MaskedEq(condition.value.into()), 0),
    };
    SeccompCondition::new(condition.argument, SeccompCmpArgLen::Dword, operator, value.into())
}

/// The number of a conditional call.
fn number(name: &str) -> i64 {
    match name {
        "clone" => libc::SYS_clone,
        "clone3" => libc::SYS_clone3,
        "ioctl" => libc::SYS_ioctl,
        "personality" => libc::SYS_personality,
        "socket" => libc::SYS_socket,
        "socketpair" => libc::SYS_socketpair,
        // No call has this number, so a rule with it would allow nothing. A test checks that there is no such rule.
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_compile() {
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        allowed(arch).unwrap();
        absent(arch).unwrap();
    }

    #[test]
    fn every_conditional_call_has_a_number() {
        for rule in calls::CONDITIONAL {
            assert!(number(rule.name) >= 0, "{}", rule.name);
        }
        assert!(number(calls::ABSENT) >= 0);
    }
}
