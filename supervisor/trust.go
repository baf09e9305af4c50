package supervisor

import (
	"boundary/seccomp"
	"boundary/tlsproxy"
)

// makeTrust writes what makes the agent's programs trust the session, and
// returns the agent's environment. With cover the agent will have a mount
// namespace of its own, in which the system's certificates can be covered.
func (s *Session) makeTrust(cfg Config, dir string, authority *tlsproxy.Authority, cover bool) (env []string, covering *tlsproxy.Covering, err error) {
	trust, err := tlsproxy.WriteTrust(dir, authority, cfg.Env)
	if err != nil {
		return nil, nil, err
	}
	warnings := trust.Warnings
	if cover {
		if covering, err = trust.Covering(authority, cfg.Env); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	if err := s.install(cfg, authority); err != nil {
		return nil, nil, err
	}
	if s.root && !seccomp.MayTraceAll() {
		if err := keepAptRoot(trust.Env); err != nil {
			return nil, nil, err
		}
	}
	for _, w := range warnings {
		s.log.WithField("cause", w).Warn("trust not complete")
	}
	browser, err := authority.BrowserArgument()
	if err != nil {
		return nil, nil, err
	}
	s.trust = newTrustKeeper(trust, browser)
	return mergeEnv(cfg.Env, trust.Env), covering, nil
}

// install puts the authority into the system's store where that was asked for.
// Where it was not, root's sessions tidy up after one that was killed.
func (s *Session) install(cfg Config, authority *tlsproxy.Authority) (err error) {
	if cfg.InstallCA {
		s.installed, err = tlsproxy.Install(cfg.Audit.Session(), authority)
		return err
	}
	if s.root {
		if err := tlsproxy.Sweep(); err != nil {
			s.log.WithError(err).Warn("system's store not tidied")
		}
	}
	return nil
}

// uninstall takes it out again.
func (s *Session) uninstall() {
	if s.installed == nil {
		return
	}
	if err := s.installed.Remove(); err != nil {
		s.log.WithError(err).Error("certificate left in the system's store")
	}
}
