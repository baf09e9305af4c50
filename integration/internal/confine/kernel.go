package main

import (
	"fmt"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// noNotify returns a filter under which seccomp(2) answers as a kernel before
// 5.0 does: no listener can be asked for, and the operation and the action
// that came with it are not known.
func noNotify() (*libseccomp.ScmpFilter, error) {
	filter, call, err := seccompFilter()
	if err != nil {
		return nil, err
	}
	answers := []struct {
		errno      unix.Errno
		conditions []libseccomp.ScmpCondition
	}{
		{unix.EINVAL, []libseccomp.ScmpCondition{
			{Argument: 0, Op: libseccomp.CompareEqual, Operand1: unix.SECCOMP_SET_MODE_FILTER},
			{Argument: 1, Op: libseccomp.CompareMaskedEqual, Operand1: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Operand2: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER},
		}},
		{unix.EINVAL, []libseccomp.ScmpCondition{
			{Argument: 0, Op: libseccomp.CompareEqual, Operand1: unix.SECCOMP_GET_NOTIF_SIZES},
		}},
		{unix.EOPNOTSUPP, []libseccomp.ScmpCondition{
			{Argument: 0, Op: libseccomp.CompareEqual, Operand1: unix.SECCOMP_GET_ACTION_AVAIL},
		}},
	}
	for _, answer := range answers {
		does := libseccomp.ActErrno.SetReturnCode(int16(answer.errno))
		if err := filter.AddRuleConditional(call, does, answer.conditions); err != nil {
			return nil, fmt.Errorf("add rule for seccomp: %w", err)
		}
	}
	return filter, nil
}

// noSeccomp returns a filter under which there is no seccomp(2) at all.
func noSeccomp() (*libseccomp.ScmpFilter, error) {
	filter, call, err := seccompFilter()
	if err != nil {
		return nil, err
	}
	if err := filter.AddRule(call, libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS))); err != nil {
		return nil, fmt.Errorf("add rule for seccomp: %w", err)
	}
	return filter, nil
}

// seccompFilter returns a filter that allows everything, and the number of
// seccomp(2).
func seccompFilter() (*libseccomp.ScmpFilter, libseccomp.ScmpSyscall, error) {
	filter, err := libseccomp.NewFilter(libseccomp.ActAllow)
	if err != nil {
		return nil, 0, fmt.Errorf("make filter: %w", err)
	}
	call, err := libseccomp.GetSyscallFromName("seccomp")
	if err != nil {
		return nil, 0, fmt.Errorf("find seccomp: %w", err)
	}
	return filter, call, nil
}

// withoutCalls returns a filter under which some system calls do not exist.
func withoutCalls(names ...string) (*libseccomp.ScmpFilter, error) {
	filter, err := libseccomp.NewFilter(libseccomp.ActAllow)
	if err != nil {
		return nil, fmt.Errorf("make filter: %w", err)
	}
	for _, name := range names {
		call, err := libseccomp.GetSyscallFromName(name)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", name, err)
		}
		if err := filter.AddRule(call, libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS))); err != nil {
			return nil, fmt.Errorf("add rule for %s: %w", name, err)
		}
	}
	return filter, nil
}

// noKillable returns a filter under which seccomp(2) knows no
// WAIT_KILLABLE_RECV, as before Linux 5.19.
func noKillable() (*libseccomp.ScmpFilter, error) {
	filter, call, err := seccompFilter()
	if err != nil {
		return nil, err
	}
	const waitKillable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	err = filter.AddRuleConditional(call, libseccomp.ActErrno.SetReturnCode(int16(unix.EINVAL)), []libseccomp.ScmpCondition{
		{Argument: 1, Op: libseccomp.CompareMaskedEqual, Operand1: waitKillable, Operand2: waitKillable},
	})
	if err != nil {
		return nil, fmt.Errorf("add rule for seccomp: %w", err)
	}
	return filter, nil
}
