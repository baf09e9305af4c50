package escapes

import "slices"

// machineAttempts are machine code of x86-64.
func machineAttempts() []Attempt {
	list := slices.Concat(i386Attempts(), i386SendAttempts(), i386ServeAttempts(), i386RingAttempts(), farAttempts(), x32Attempts(),
		offspringAttempts(), clone3Attempts(), handlerAttempts(), injectedAttempts(), imageAttempts(), foreignImageAttempts(), formatAttempts())
	for i := range list {
		list[i].Needs = append(list[i].Needs, NeedAMD64)
	}
	return list
}
