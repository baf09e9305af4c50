package main

import (
	"fmt"
	"strings"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// docker returns Docker's default profile as it is for a process with some
// capabilities, on this kernel and architecture.
func docker(capabilities []string) (*libseccomp.ScmpFilter, error) {
	held := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}}}
	spec, err := moby.GetDefaultProfile(held)
	if err != nil {
		return nil, fmt.Errorf("read Docker's profile: %w", err)
	}
	fallback, err := action(spec.DefaultAction, spec.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	filter, err := libseccomp.NewFilter(fallback)
	if err != nil {
		return nil, fmt.Errorf("make filter: %w", err)
	}
	for _, name := range spec.Architectures {
		arch, err := libseccomp.GetArchFromString(strings.ToLower(strings.TrimPrefix(string(name), "SCMP_ARCH_")))
		if err != nil {
			return nil, fmt.Errorf("read architecture %s: %w", name, err)
		}
		if err := filter.AddArch(arch); err != nil {
			return nil, fmt.Errorf("add architecture %s: %w", name, err)
		}
	}
	for _, group := range spec.Syscalls {
		if err := addGroup(filter, group, fallback); err != nil {
			return nil, err
		}
	}
	return filter, nil
}

// addGroup adds one entry of the profile: several syscalls with one action
// and one set of conditions.
func addGroup(filter *libseccomp.ScmpFilter, group specs.LinuxSyscall, fallback libseccomp.ScmpAction) error {
	does, err := action(group.Action, group.ErrnoRet)
	if err != nil {
		return err
	}
	if does == fallback {
		return nil
	}
	for _, name := range group.Names {
		call, err := libseccomp.GetSyscallFromName(name)
		if err != nil {
			continue // newer than this libseccomp: the default action holds, as in a container runtime
		}
		if err := addCall(filter, call, does, group.Args); err != nil {
			return fmt.Errorf("add rule for %s: %w", name, err)
		}
	}
	return nil
}

// addCall adds a rule for one syscall. libseccomp takes only one condition
// on each argument, so a second one on the same makes rules of their own, as
// runc does it.
func addCall(filter *libseccomp.ScmpFilter, call libseccomp.ScmpSyscall, does libseccomp.ScmpAction, args []specs.LinuxSeccompArg) error {
	var all []libseccomp.ScmpCondition
	seen := map[uint]bool{}
	twice := false
	for _, arg := range args {
		condition, err := condition(arg)
		if err != nil {
			return err
		}
		twice = twice || seen[arg.Index]
		seen[arg.Index] = true
		all = append(all, condition)
	}
	if !twice {
		return filter.AddRuleConditional(call, does, all)
	}
	for _, one := range all {
		if err := filter.AddRuleConditional(call, does, []libseccomp.ScmpCondition{one}); err != nil {
			return err
		}
	}
	return nil
}

// condition translates one comparison.
func condition(arg specs.LinuxSeccompArg) (libseccomp.ScmpCondition, error) {
	operators := map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
		specs.OpNotEqual:     libseccomp.CompareNotEqual,
		specs.OpLessThan:     libseccomp.CompareLess,
		specs.OpLessEqual:    libseccomp.CompareLessOrEqual,
		specs.OpEqualTo:      libseccomp.CompareEqual,
		specs.OpGreaterEqual: libseccomp.CompareGreaterEqual,
		specs.OpGreaterThan:  libseccomp.CompareGreater,
		specs.OpMaskedEqual:  libseccomp.CompareMaskedEqual,
	}
	operator, ok := operators[arg.Op]
	if !ok {
		return libseccomp.ScmpCondition{}, fmt.Errorf("no operator is named %s", arg.Op)
	}
	if operator == libseccomp.CompareMaskedEqual {
		return libseccomp.MakeCondition(arg.Index, operator, arg.Value, arg.ValueTwo)
	}
	return libseccomp.MakeCondition(arg.Index, operator, arg.Value)
}

// action translates what is done with a call.
func action(name specs.LinuxSeccompAction, errno *uint) (libseccomp.ScmpAction, error) {
	switch name {
	case specs.ActAllow:
		return libseccomp.ActAllow, nil
	case specs.ActErrno:
		code := int16(1) // EPERM, what runc takes where the profile says nothing
		if errno != nil {
			code = int16(*errno)
		}
		return libseccomp.ActErrno.SetReturnCode(code), nil
	}
	return libseccomp.ActInvalid, fmt.Errorf("no action is named %s", name)
}
