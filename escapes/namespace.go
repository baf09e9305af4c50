package escapes

import "slices"

// namespaceAttempts go by namespaces, and by programs and capabilities that
// give more rights.
func namespaceAttempts() []Attempt {
	return slices.Concat(insideAttempts(), enterAttempts(), pathAttempts(), helperAttempts(), capabilityAttempts())
}

// namespaceSteps are what these do in processes of their own.
func namespaceSteps() []Attempt {
	return []Attempt{
		{Name: stepRaw, Try: sendRaw},
		{Name: stepPacket, Try: packetPastRoutes},
		{Name: stepJoin, Try: joinInherited},
		{Name: stepFreshProc, Try: freshProc},
		{Name: stepFakeProc, Try: fakeProc},
		{Name: stepOldSocket, Try: connectOldSocket},
		{Name: stepBindSocket, Try: bindOverSocket},
		{Name: stepHideSocket, Try: hideSocket},
		{Name: stepChroot, Try: chrootSocket},
		{Name: stepPivot, Try: pivotSocket},
		{Name: stepLeaveRoot, Try: leaveRoot},
		{Name: stepMakeOutside, Try: makeOutside},
	}
}
