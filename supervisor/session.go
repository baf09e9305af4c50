package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"boundary/audit"
	"boundary/policies"
	"boundary/seccomp"
	"boundary/tlsproxy"
)

// Config is one session to be.
type Config struct {
	Policy   *policies.Policy
	Audit    *audit.Log
	Terminal *audit.Terminal // nil: denials are not shown
	Log      logrus.FieldLogger

	Path    string   // the program's file
	Command []string // its argv, with argv[0]
	Env     []string // the agent's environment before the trust variables

	// InstallCA puts the session authority into the system's store, which
	// takes root, until the session ends.
	InstallCA bool

	Version  string
	Policies []string // names of what the policy was made of
}

// Session is one agent under one policy.
type Session struct {
	policy   *policies.Policy
	audit    *audit.Log
	terminal *audit.Terminal
	log      logrus.FieldLogger

	ctx    context.Context
	cancel context.CancelFunc
	root   bool          // the supervisor's effective user is root
	mounts string        // the mount namespace of the session, by its link in /proc
	began  unix.Timespec // by fileClock; set before the agent runs

	handlers map[int32]handler // not written to after start-up
	listener *seccomp.Listener
	finder   finder
	procs    *processes
	flows    *flows
	names    *names
	resolver *resolver
	proxy    *tlsproxy.Proxy

	upstreamProxy func(*url.URL) (*url.URL, error)
	agentProxies  agentProxies // not written to after start-up

	peers      *peers[sockaddr]
	connectors *peers[unix.Ucred] // who connected a unix socket to one of the session's
	repeats    *repeats
	listeners  *listeners
	surrogates *surrogates
	sources    *sources
	unixNames  *unixNames
	trust      *trustKeeper
	installed  *tlsproxy.Installed // nil: nothing is in the system's store
	poller     *poller

	caution      caution
	turns        *turns
	threads      *turns       // of the calls of one thread: see answerApart
	apart        *shares      // of calls that are answered apart from the lead
	descriptors  *shares      // of descriptors that the supervisor holds for the agent
	overloadedAt atomic.Int64 // when it was last said, as Unix time in nanoseconds

	endMu sync.RWMutex
	ended bool // guarded by endMu: the last record is written

	sweepMu sync.Mutex // one sweep at a time
	roomAt  time.Time  // guarded by sweepMu: when it may next be swept for room
	failed  sync.Once
	broken  chan error // one value: the session can't go on
}

// ErrGuardMissing says that a guard which the policy requires, or which
// nothing can do without, is not on; the agent was not started.
var ErrGuardMissing = errors.New("a required guard is missing")

// Run runs the agent behind l and returns when its first process has ended,
// with the exit status as a shell has it (128+N for signal N). An error says
// that the agent was not started; then l is used up too.
func Run(l *Launcher, cfg Config) (int, error) {
	s := &Session{
		policy: cfg.Policy, audit: cfg.Audit, terminal: cfg.Terminal, log: cfg.Log, root: os.Geteuid() == 0,
		handlers: newHandlers(), procs: newProcesses(), names: newNames(), peers: newPeers[sockaddr](), connectors: newPeers[unix.Ucred](), repeats: newRepeats(),
		listeners: newListeners(), surrogates: newSurrogates(), sources: newSources(), unixNames: newUnixNames(),
		poller: newPoller(), turns: newTurns(turnsEach), threads: newTurns(1), apart: newShares(maxApart), descriptors: newShares(descriptorsToDeal()), broken: make(chan error, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer s.cancel()
	if err := closeInherited(stageFD); err != nil {
		l.Abandon()
		return 0, err
	}
	unix.Umask(0) // for bindMasked; files of our own are made with a mode of their own
	s.upstreamProxy = upstreamProxy(cfg.Policy)
	s.agentProxies = findAgentProxies(cfg.Env)
	s.resolver = newResolver(s)
	dir, err := trustDir(cfg.Audit.Session())
	if err != nil {
		l.Abandon()
		return 0, err
	}
	defer os.RemoveAll(dir) // for a launcher that was killed
	defer s.uninstall()
	signals := catchSignals()
	if err := s.start(l, cfg, dir); err != nil {
		l.Abandon()
		return 0, err
	}
	status := s.wait(l, signals)
	s.flows.close()
	s.finishRequests()
	s.end(status)
	return status.code(), nil
}

// lastRequests is how long the records of requests that the agent left behind
// are waited for. Nobody is there to read their answers.
const lastRequests = 2 * time.Second

// finishRequests ends what is under way, so that the end of each request is
// recorded before that of the session.
func (s *Session) finishRequests() {
	ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
	defer cancel()
	if err := s.proxy.Close(ctx); err != nil {
		s.log.WithError(err).Debug("requests cut short")
	}
}

// start does all that must be ready before the agent runs, and then lets it.
func (s *Session) start(l *Launcher, cfg Config, dir string) error {
	m := probe(l)
	guards := m.guards()
	if err := s.demand(guards); err != nil {
		return err
	}
	if m.getfd == nil {
		s.finder = newGetfdFinder()
	} else {
		s.finder = newHeldFinder(s.procs.within, s.descriptors)
	}
	env, covering, err := s.openProxy(cfg, dir, m.filesOpen)
	if err != nil {
		return err
	}
	programs, err := seccomp.BuildPrograms(m.options())
	if err != nil {
		return err
	}
	p := &plan{
		Path: rawString(cfg.Path), Argv: convert[rawString](cfg.Command), Env: convert[rawString](env),
		Programs: programs, Landlock: m.landlock, DropCaps: s.root, CloseFiles: m.filesOpen,
		Trust: rawString(dir), Cover: covering, Installed: s.installed,
	}
	fd, on, err := l.prepare(p)
	if err != nil {
		return explainLaunch(err)
	}
	m.launched(on)
	if covering != nil && on&(listenerFilesClosed|listenerCovered) == listenerFilesClosed {
		s.log.Warn("the system's certificates could not be covered: programs that read no variable don't trust the session")
	}
	guards = m.guards()
	if err := s.demand(guards); err != nil {
		unix.Close(fd)
		return err
	}
	if on&listenerKillable == 0 {
		s.repeats.enable()
	}
	if s.listener, err = seccomp.NewListener(fd); err != nil {
		return fmt.Errorf("%w (a security module may forbid it)", err)
	}
	s.procs.launcher = l.pid
	s.mounts = sessionMounts(l.pid)
	if s.began, err = fileClock(); err != nil {
		return fmt.Errorf("read clock: %w", err)
	}
	if err := s.recordStart(cfg, guards); err != nil {
		s.flows.close()
		return fmt.Errorf("write audit log: %w", err)
	}
	go s.receive()
	go s.sweep()
	err = l.release()
	s.procs.begin(l.agent)
	if err != nil {
		s.recordFailure(err)
		return explainLaunch(err)
	}
	return nil
}

// sessionMounts is the mount namespace in which the agent starts, by its link in
// /proc: that of the launcher's guarded thread, where it has one of its own.
func sessionMounts(launcher int) string {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return ""
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/ns/mnt", launcher))
	for _, path := range threads {
		if link, err := os.Readlink(path); err == nil && link != own {
			return link
		}
	}
	return own
}

// demand is an error where a guard is missing that must be there.
func (s *Session) demand(guards []Guard) error {
	if names := missing(guards, s.policy.Required()); len(names) > 0 {
		return fmt.Errorf("%w: %s (see boundary doctor)", ErrGuardMissing, strings.Join(names, ", "))
	}
	return nil
}

// recordFailure ends the log of a session whose agent could not be started.
func (s *Session) recordFailure(err error) {
	_ = s.record(&audit.Record{Event: audit.Error, Reason: "not-started", Message: err.Error()})
	s.recordEnd(&audit.End{ExitStatus: StartStatus(err)})
}

// Exit statuses of a session whose agent was not started, as a shell has them.
const (
	statusFailed        = 125 // boundary itself failed
	statusNotExecutable = 126
	statusNotFound      = 127 // the interpreter that the program's first line names
)

// StartStatus is the exit status for an error of Run.
func StartStatus(err error) int {
	var stage *StageError
	switch {
	case !errors.As(err, &stage) || stage.Op != stepExec:
		return statusFailed
	case stage.Err == unix.ENOENT:
		return statusNotFound
	}
	return statusNotExecutable
}

// explainLaunch says what a person can do about a launch that failed.
func explainLaunch(err error) error {
	var stage *StageError
	if errors.As(err, &stage) && stage.Op == "install notify filter" && stage.Err == unix.EBUSY {
		return fmt.Errorf("a seccomp listener is already held by a process above (another boundary, "+
			"another such supervisor, or WSL2's init), and the kernel allows one: run boundary outside of it: %w", err)
	}
	return err
}

// openProxy makes what the agent's connections lead to, and what makes the
// agent trust it: its environment, and with cover what is to lie over the
// system's own certificates.
func (s *Session) openProxy(cfg Config, dir string, cover bool) (env []string, covering *tlsproxy.Covering, err error) {
	authority, err := tlsproxy.NewAuthority(cfg.Audit.Session())
	if err != nil {
		return nil, nil, err
	}
	if env, covering, err = s.makeTrust(cfg, dir, authority, cover); err != nil {
		return nil, nil, err
	}
	var roots []byte
	for _, path := range s.policy.CAFiles() {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("read upstream ca_file: %w", err)
		}
		roots = append(append(roots, pem...), '\n')
	}
	s.proxy, err = tlsproxy.New(tlsproxy.Config{Authority: authority, Judge: judge{s}, ExtraRoots: roots, UpstreamProxy: s.upstreamProxy})
	if err != nil {
		return nil, nil, err
	}
	if s.flows, err = listenFlows(s.accept); err != nil {
		return nil, nil, err
	}
	return env, covering, nil
}

// accept takes an announced connection to where it belongs.
func (s *Session) accept(fl *flow, conn net.Conn) {
	if fl.dns {
		s.resolver.serveTCP(conn, fl.proc)
		return
	}
	s.proxy.Serve(conn, tlsproxy.Flow{Dialled: fl.dialled, Name: fl.name, Proxy: fl.toProxy, End: agentEndOf(conn), Process: fl.proc})
}

// mergeEnv replaces variables of the same name.
func mergeEnv(env, add []string) []string {
	set := map[string]bool{}
	for _, kv := range add {
		name, _, _ := strings.Cut(kv, "=")
		set[name] = true
	}
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return set[name]
	})
	return append(out, add...)
}

// trustDir makes the directory of the session's certificates. Everyone may
// read it: the agent may run as another user, and no key is in it.
func trustDir(session string) (string, error) {
	dir := filepath.Join(os.TempDir(), "boundary-"+session+"-"+rand.Text()[:6])
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make trust directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return "", fmt.Errorf("make trust directory: %w", err)
	}
	return dir, nil
}

func (s *Session) recordStart(cfg Config, guards []Guard) error {
	start := &audit.Start{
		Version: cfg.Version, Mode: "enforce", Kernel: kernelRelease(), Policies: cfg.Policies, Command: cfg.Command,
		Guards: []string{}, Standard: standardSockets(),
	}
	s.warnOfStandard(start.Standard)
	for _, g := range guards {
		if g.On {
			start.Guards = append(start.Guards, g.Name)
		} else {
			start.Missing = append(start.Missing, g.Name)
		}
	}
	return s.record(&audit.Record{Event: audit.SessionStart, Start: start})
}

// record writes a record before what it says takes effect. An error means
// that it is not written: what it would have allowed is denied. After the end
// of the session there are no records.
func (s *Session) record(r *audit.Record) error {
	s.endMu.RLock()
	defer s.endMu.RUnlock()
	if s.ended {
		return errEnded
	}
	return s.write(r)
}

// errEnded says that the session has ended: nobody is there to be answered.
var errEnded = errors.New("the session has ended")

// recordEnd writes the last record. Nothing depends on it.
func (s *Session) recordEnd(end *audit.End) {
	s.endMu.Lock()
	defer s.endMu.Unlock()
	_ = s.write(&audit.Record{Event: audit.SessionEnd, End: end})
	s.ended = true
}

func (s *Session) write(r *audit.Record) error {
	if err := s.audit.Append(r); err != nil {
		s.log.WithError(err).Error("audit record not written")
		return err
	}
	// Names are asked for before each connection, which says it better; how a
	// request ended comes after its denial.
	if r.Decision == audit.Deny && r.Event != audit.DNS && r.DurationMS == nil {
		s.terminal.Denied(r)
	}
	return nil
}

// fatal ends the session: what can't be answered must not run on.
func (s *Session) fatal(err error) {
	s.failed.Do(func() { s.broken <- err })
}

const sweepEvery = time.Second

// sweep forgets, each second, what the agent has given up.
func (s *Session) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.sweepSockets(false)
			s.flows.sweep(now)
			s.turns.sweep()
			s.threads.sweep()
			s.apart.sweep()
			s.descriptors.sweep()
		case <-s.ctx.Done():
			return
		}
	}
}

// sweepForRoom sweeps because there is no room for more, but not all the time.
func (s *Session) sweepForRoom() {
	s.sweepMu.Lock()
	defer s.sweepMu.Unlock()
	began := time.Now()
	if began.Before(s.roomAt) {
		return
	}
	s.sweepNow(true)
	const share = 8 // of the time, at most
	s.roomAt = time.Now().Add(share * time.Since(began))
}

// sweepSockets closes what stands for sockets that no process has any more.
// With now, the agent waits for something that such a socket may hold.
func (s *Session) sweepSockets(now bool) {
	s.sweepMu.Lock()
	defer s.sweepMu.Unlock()
	s.sweepNow(now)
}

// sweepNow is called with sweepMu held.
func (s *Session) sweepNow(now bool) {
	if getfd, ok := s.finder.(*getfdFinder); ok {
		getfd.sweep()
		s.surrogates.sweep()
		return
	}
	held := s.finder.(*heldFinder)
	gone := held.collect()
	if now {
		gone = append(gone, held.drop(0, func(k *heldSocket) bool { return s.surrogates.byInode(k.ino) != nil })...)
	}
	for _, ino := range gone {
		if sur := s.surrogates.byInode(ino); sur != nil {
			sur.close()
		}
	}
}
