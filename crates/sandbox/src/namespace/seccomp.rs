//! The seccomp filters, compiled from the list in `calls.rs`.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::Refusal;
use crate::calls::{self, Comparison, Condition, Rule};
use crate::error::At;

/// The compiled filters.
pub(super) struct Filters {
    /// In the order in which they are set.
    always: Vec<BpfProgram>,
    /// For a box without a memory cgroup, before the others.
    weak_memory: BpfProgram,
}

/// Compiles the filters.
pub(super) fn compile() -> Result<Filters, Refusal> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(io::Error::other)
        .at("choosing the system calls")?;
    let mut errors: Vec<u32> = calls::refused().iter().map(|call| call.errno).collect();
    errors.sort_unstable();
    errors.dedup();
    let mut programs: Vec<_> = errors.into_iter().map(|errno| refused(arch, errno)).collect();
    // The last: it forbids setting another one.
    programs.push(allowed(arch));
    let compiled = programs
        .into_iter()
        .collect::<Result<_, _>>()
        .and_then(|always| Ok::<_, BackendError>(Filters { always, weak_memory: uncounted_mmap(arch)? }));
    compiled.map_err(io::Error::other).at("compiling the filter of system calls")
}

impl Filters {
    /// Applies them to this process and all that it starts. Needs `no_new_privs`. `weak_memory`: no cgroup limits the memory.
    pub(super) fn apply(&self, weak_memory: bool) -> Result<(), Refusal> {
        let first = weak_memory.then_some(&self.weak_memory);
        for program in first.into_iter().chain(&self.always) {
            seccompiler::apply_filter(program)
                .map_err(io::Error::other)
                .at("setting the filter of system calls")?;
        }
        Ok(())
    }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// [`calls::NOT_ON_THE_LIST`] for all calls that are not on the list. The other filters decide on those that they refuse:
/// of several filters the strictest answer counts, and of several errors that of the filter that was set last.
fn allowed(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules: Rules =
        calls::NUMBERS.iter().chain(calls::OLDER_NUMBERS).map(|call| (*call, vec![])).collect();
    add(
        &mut rules,
        calls::conditional().into_iter().chain(calls::refused().into_iter().map(|call| call.rule)),
    )?;
    let otherwise = SeccompAction::Errno(calls::NOT_ON_THE_LIST);
    SeccompFilter::new(rules, otherwise, SeccompAction::Allow, arch)?.try_into()
}

/// `errno` for the calls that are refused with it.
fn refused(arch: TargetArch, errno: u32) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    let those = calls::refused().into_iter().filter(|call| call.errno == errno);
    add(&mut rules, those.map(|call| call.rule))?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)?.try_into()
}

fn uncounted_mmap(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    add(&mut rules, [calls::UNCOUNTED_MMAP])?;
    let refusal = SeccompAction::Errno(calls::NOT_ON_THE_LIST);
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch)?.try_into()
}

/// Adds a rule for each call; one without conditions applies to every call of that name.
fn add(rules: &mut Rules, calls: impl IntoIterator<Item = Rule>) -> Result<(), BackendError> {
    for Rule { name, conditions } in calls {
        let of_this_call = rules.entry(number(name)).or_default();
        if !conditions.is_empty() {
            let conditions = conditions.iter().map(condition).collect::<Result<_, _>>()?;
            of_this_call.push(SeccompRule::new(conditions)?);
        }
    }
    Ok(())
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let (operator, value) = match condition.comparison {
        Comparison::Is => (SeccompCmpOp::Eq, condition.value),
        Comparison::IsNot => (SeccompCmpOp::Ne, condition.value),
        Comparison::Masked(mask) => (SeccompCmpOp::MaskedEq(mask.into()), condition.value),
        Comparison::HasNone => (SeccompCmpOp::MaskedEq(condition.value.into()), 0),
    };
    SeccompCondition::new(condition.argument, SeccompCmpArgLen::Dword, operator, value.into())
}

/// The number of a call with conditions or an error of its own.
fn number(name: &str) -> i64 {
    match name {
        "clone" => libc::SYS_clone,
        "clone3" => libc::SYS_clone3,
        "fadvise64" => libc::SYS_fadvise64,
        "fcntl" => libc::SYS_fcntl,
        "flock" => libc::SYS_flock,
        "inotify_init1" => libc::SYS_inotify_init1,
        "ioctl" => libc::SYS_ioctl,
        "madvise" => libc::SYS_madvise,
        "mmap" => libc::SYS_mmap,
        "personality" => libc::SYS_personality,
        "preadv2" => libc::SYS_preadv2,
        "setsockopt" => libc::SYS_setsockopt,
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
    fn all_filters_compile() {
        let filters = compile().unwrap();
        // One for each error of its own, and the list.
        assert_eq!(filters.always.len(), 4);
        assert!(!filters.weak_memory.is_empty());
    }

    #[test]
    fn every_named_call_has_a_number() {
        let refused = calls::refused().into_iter().map(|call| call.rule);
        for rule in calls::conditional().into_iter().chain(refused) {
            assert!(number(rule.name) >= 0, "{}", rule.name);
        }
    }
}
