/* Copyright the daemonize authors.
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The protocol of NAME.pid and NAME.lock, for spin(1); see docs/proof.md. A step is one system
 * call on what processes share. A comment of a file and a function names the code that makes it.
 * Actors: STARTS starts (launcher and daemon, 1 and 2), STOPS stops (4, 5), one crash by SIGKILL at
 * any step, REMOVALS removals of either file at any moment, and a bystander (3). The bystander is there
 * from the start with the pid that a stale pidfile names, or gets the pid of a daemon that died.
 * HOSTILE: a daemon that is ready has a child keep its descriptors, gives up its locks, and hands
 * the bystander its descriptors, who locks NAME.lock with them.
 * FOREIGN: start 2 and stop 5 are in another PID namespace, where numbers are the same.
 * BEYOND the promise: the bystander has by chance the very pid that the files name, and lets a
 * hostile daemon hand it the descriptors as well; both files are removed (REMOVALS 2).
 * MUTANT is a step to leave out, 0 for none. TestTheModel gives all these macros.
 * Left out: who only looks shares the flock for a moment, so any exclusive one may fail; time limits
 * pass at any moment; more retries than TRIES; the privileged action; kill(2) without pidfds. */
#define NOSECOND  1                /* the second look, after pidfd_open(2) */
#define NOCOMPARE 2                /* the compare before unlink(2) */
#define NOWAIT    3                /* the wait for the daemon's end */
#define NOBODY    4                /* the companion's line, which names its daemon */
#define PIDFIRST  5                /* the lock before the pid */
#define NOERASE   6                /* the stale pid's end under the shared lock */
#define N 7                        /* files at one time */
#define X 3                        /* the bystander */
#define UNPROVED 8                 /* look: an error that may pass */
#define ABROAD 9                   /* F_GETLK: pid 0, of another namespace */
#define BIT(p) (1 << (p))
#define NS(p) (FOREIGN && ((p) == 2 || (p) == 5))
byte at[2];                        /* the file that NAME.pid [0], NAME.lock [1] leads to; 0: none */
byte text[N], ex[N], sh[N], rec[N]; /* of a file: its pid, flock(2) locks, record locks */
byte fp[6], fl[6];                 /* what a process has open */
byte num[4];
bool alive[4], ready[3], held[3], killed[3], term[3], gone[3];
byte acq[3];                       /* 1: from the locks on, 2: it ends */
bool evil, given;                  /* daemon 1 is hostile; the bystander has its flock */
#define CHANCE   (BEYOND || !alive[X] || num[X] != text[fl[1]])
#define HOLDS(d) (acq[d] == 1 && alive[d] && !killed[d] && ex[fp[d]] == d && (rec[fl[d]] & BIT(d)))
#define UP(d)    (ready[d] && acq[d] == 1 && alive[d] && !killed[d] && !(d == 1 && evil))
#define SEEN(d)  ((at[0] == fp[d] && ex[fp[d]] == d) || (at[1] == fl[d] && (rec[fl[d]] & BIT(d))))
/* A daemon that is not ready and that no name leads to is about to end: writePID fails. */
#define FOUND(d) (HOLDS(d) && (ready[d] || SEEN(d)))
#define IS(s, p, me) (alive[s] && num[s] == (p) && NS(s) == NS(me))
#define WHO(p, me) (IS(1, p, me) -> 1 : (IS(2, p, me) -> 2 : (IS(3, p, me) -> 3 : 0)))
#define PIDOF(s, me) (NS(s) == NS(me) -> num[s] : ABROAD)
#define OPEN(i) (at[0]==i || at[1]==i || fp[1]==i || fp[2]==i || fp[4]==i || fp[5]==i || \
	fl[1]==i || fl[2]==i || fl[4]==i || fl[5]==i)

inline forget(v) { /* the last descriptor or name of a file is gone */
	if :: v && !OPEN(v) -> text[v] = 0; rec[v] = 0; ex[v] = 0; :: else fi; v = 0; old = 0 }
inline close(v) { d_step { old = v; v = 0; forget(old) } }
inline unlink(k) { d_step { old = at[k]; at[k] = 0; forget(old) } }
inline create(k, v) { d_step {     /* O_CREAT */
	if :: at[k] == 0 -> old = 1; do :: OPEN(old) -> old++ :: else -> break od;
		assert(old < N); at[k] = old :: else fi; v = at[k]; old = 0 } }
inline getlk(me, j, g) { atomic {  /* companion.go recordLockHolder */
	if :: (rec[j] & BIT(1)) && me != 1 -> g = PIDOF(1, me) :: (rec[j] & BIT(2)) && me != 2 -> g = PIDOF(2, me)
	:: rec[j] & BIT(3) -> g = PIDOF(3, me) :: !(rec[j] & ~BIT(me)) -> g = 0 fi } }
inline lookAtCompanion(me, g) {
	fl[me] = at[1];                                       /* companion.go lookAtCompanion */
	if :: fl[me] == 0 -> g = 0
	:: else -> getlk(me, fl[me], g);
		if :: g == 0 :: g == ABROAD -> g = UNPROVED       /* holder.go errOtherNamespace */
		:: g != 0 && g != ABROAD -> d_step {              /* companion.go readCompanion */
			if :: MUTANT == NOBODY :: MUTANT != NOBODY && text[fl[me]] == 0 -> g = 0
			:: MUTANT != NOBODY && text[fl[me]] != 0 && text[fl[me]] != g -> g = UNPROVED :: else fi }
		fi; close(fl[me])
	fi }
/* holdsPidfile: the process has the descriptor with the lock */
#define HASLOCK(s, f) (ex[f] == s || (s == X && given && ex[f] == 1))
inline look(me, g, named) {
	fp[me] = at[0];                                       /* holder.go look */
	lookAtCompanion(me, g);
	if :: g == UNPROVED :: g != UNPROVED && fp[me] == 0 -> named = 1
	:: else -> locked = ex[fp[me]] != 0;                  /* pidfile.go isHeld */
		d_step { n = text[fp[me]]; named = (n != 0 || !locked); /* pidfile.go readPID */
		if :: g && n && n != g -> g = UNPROVED
		:: g && !(n && n != g)
		:: !g && !locked
		:: !g && locked && !n -> g = UNPROVED
		:: else -> if :: WHO(n, me) && HASLOCK(WHO(n, me), fp[me]) -> g = n /* pidfile_linux.go holdsPidfile */
			:: else -> g = UNPROVED fi
		fi; n = 0; locked = 0 }
	fi; close(fp[me]) }

proctype daemon(byte me) {
	byte try, g, old;
	{ { skip;
again:	create(0, fp[me]);                                    /* pidfile.go tryAcquire */
	if :: MUTANT == PIDFIRST -> text[fp[me]] = num[me] :: MUTANT != PIDFIRST fi;
	if :: atomic { ex[fp[me]] == 0 -> sh[fp[me]] = sh[fp[me]] | BIT(me) } /* pidfile.go (*pidfile).lock */
	:: ex[fp[me]] -> goto raced fi;
	if :: text[fp[me]] == 0 || MUTANT == NOERASE
	:: else -> if :: at[0] == fp[me] :: else -> goto raced fi; /* trusted.go (*trustedFile).rewrite */
		text[fp[me]] = 0
	fi;
	sh[fp[me]] = sh[fp[me]] & ~BIT(me);                   /* pidfile.go flock: flock(2) lets go first */
	if :: atomic { ex[fp[me]] == 0 && sh[fp[me]] == 0 -> ex[fp[me]] = me } :: goto raced fi;
	if :: at[0] == fp[me] :: else -> goto raced fi;       /* trusted.go (*trustedFile).isInPlace */
	if :: text[fp[me]] == 0 || MUTANT == NOERASE :: else -> goto raced fi; /* pidfile.go readPID */
	create(1, fl[me]);                                    /* companion.go lockCompanion */
	getlk(me, fl[me], g); if :: g -> goto lost :: else fi; /* companion.go (*companion).lock */
	if :: at[1] == fl[me] :: else -> goto lost fi;        /* trusted.go (*trustedFile).rewrite */
	text[fl[me]] = 0; text[fl[me]] = num[me];             /* trusted.go (*trustedFile).rewrite */
	rec[fl[me]] = rec[fl[me]] | BIT(me);                  /* companion.go (*companion).lock */
	getlk(me, fl[me], g); if :: g -> goto lost :: else fi;
	if :: at[1] == fl[me] :: else -> goto lost fi;        /* trusted.go (*trustedFile).isInPlace */
	acq[me] = 1;                                          /* lifecycle.go (*daemon).run */
	if :: at[0] == fp[me] :: else -> goto end fi;         /* pidfile.go (*pidfile).writePID */
	text[fp[me]] = num[me];
	d_step { held[me] = HOLDS(me); ready[me] = 1 }        /* daemon.go (*starter).ready */
	if :: term[me] :: true fi; goto end;                  /* lifecycle.go (*daemon).runAction */
lost:	skip; d_step { rec[fl[me]] = rec[fl[me]] & ~BIT(me); g = 0 } close(fl[me]);
	if :: at[0] == fp[me] -> unlink(0) :: else fi;        /* pidfile.go (*pidfile).remove */
raced:	skip; d_step { sh[fp[me]] = sh[fp[me]] & ~BIT(me); if :: ex[fp[me]] == me -> ex[fp[me]] = 0 :: else fi } close(fp[me]);
	if :: try < TRIES -> try++; goto again :: true fi;    /* pidfile.go acquire */
end:	skip } unless { !ready[me] && (term[me] || gone[me]) };    /* lifecycle.go (*daemon).abort */
	if :: acq[me] && fl[me] -> acq[me] = 2;               /* lifecycle.go (*daemon).releasePidfile */
		if :: true ->                                 /* else it dropped the right to */
			if :: at[1] == fl[me] -> unlink(1) :: else fi; /* companion.go (*companion).remove */
			rec[fl[me]] = rec[fl[me]] & ~BIT(me);
			if :: at[0] == fp[me] || MUTANT == NOCOMPARE -> unlink(0) :: else fi /* pidfile.go (*pidfile).remove */
		:: true fi
	:: else fi
	} unless { killed[me] };
	/* the kernel: the locks go a moment before the process */
	if :: fl[me] -> rec[fl[me]] = rec[fl[me]] & ~BIT(me) :: else fi;
	if :: fp[me] && !(evil && me == 1) -> d_step { sh[fp[me]] = sh[fp[me]] & ~BIT(me); if :: ex[fp[me]] == me -> ex[fp[me]] = 0 :: else fi } :: else fi;
	if :: !(evil && me == 1) -> close(fp[me]); close(fl[me]) :: else fi;
	d_step { g = 0; try = 0; alive[me] = 0 }
}

proctype start(byte d) {
	atomic { num[d] = (NS(d) -> 3 : d); alive[d] = 1; run daemon(d) } /* launcher.go launch */
	if :: ready[d] -> assert(held[d])                     /* launcher.go await: it returns 0 */
	:: !alive[d] && !ready[d]
	:: gone[d] = 1 fi                                     /* daemon.go (*starter).watch */
}

proctype stop(byte me) {
	byte r, v, t, was, try, old, n; bool locked, named;
	d_step { if :: FOUND(1) -> was = BIT(1) :: else fi; if :: FOUND(2) -> was = was | BIT(2) :: else fi }
again:	look(me, r, named);                                   /* holder.go tryHolder */
	if :: r == 0 -> goto tidy
	:: r && (r == UNPROVED || !named) -> goto retry
	:: else fi;
	t = WHO(r, me);                                       /* pidfile_linux.go pidfdOpen */
	if :: t == 0 -> goto retry :: else fi;
	if :: MUTANT == NOSECOND :: MUTANT != NOSECOND -> look(me, v, named);    /* holder.go (*holder).verify */
		if :: v == r :: else -> goto retry fi
	fi;
	if :: atomic { alive[t] -> assert(t != X); term[t] = 1 } /* holder.go (*holder).signal */
	:: !alive[t] -> goto tidy fi;
	if :: MUTANT == NOWAIT || !alive[t] :: MUTANT != NOWAIT -> killed[t] = 1; !alive[t] fi; /* holder.go (*holder).end, pidfile_linux.go pidfdWait */
tidy:	if :: at[1] -> create(0, fp[me]) :: else -> fp[me] = at[0] fi; /* holder.go tidy */
	if :: fp[me] == 0 -> goto zero :: else fi;
	if :: atomic { ex[fp[me]] == 0 && sh[fp[me]] == 0 -> ex[fp[me]] = me } :: goto zero fi;
	if :: at[0] == fp[me] :: else -> goto zero fi;        /* trusted.go (*trustedFile).isInPlace */
	lookAtCompanion(me, v); if :: v -> goto zero :: else fi;
	fl[me] = at[1];                                       /* trusted.go removeIf */
	if :: fl[me] -> getlk(me, fl[me], v); if :: v == 0 -> unlink(1) :: else fi; close(fl[me]) :: else fi;
	if :: at[0] == fp[me] || MUTANT == NOCOMPARE :: else -> goto zero fi; /* trusted.go (*trustedFile).isInPlace */
	unlink(0);                                            /* holder.go tidy */
zero:	if :: fp[me] -> d_step { if :: ex[fp[me]] == me -> ex[fp[me]] = 0 :: else fi } close(fp[me]) :: else fi;
	assert(!((was & BIT(1)) && FOUND(1)) && !((was & BIT(2)) && FOUND(2)) && (t == 0 || !alive[t])); /* it returns 0 */
	goto done;
retry:	if :: try < TRIES -> try++; t = 0; goto again :: true fi; /* holder.go untilSettled */
done:	skip; d_step { r = 0; v = 0; t = 0; was = 0; try = 0; named = 0 }
}

proctype world() {                 /* crash, removals, a pid that is used again, the hostile daemon */
	byte old, removals; bool crashed;
end:	do
	:: !crashed && alive[1] -> atomic { crashed = 1; killed[1] = 1 }
	:: !crashed && alive[2] -> atomic { crashed = 1; killed[2] = 1 }
	:: removals < REMOVALS && at[0] -> atomic { removals++; unlink(0) }
	:: removals < REMOVALS && at[1] -> atomic { removals++; unlink(1) }
	:: atomic { !alive[X] && num[1] && !alive[1] -> num[X] = num[1]; alive[X] = 1 }
	:: atomic { !alive[X] && num[2] && !alive[2] -> num[X] = num[2]; alive[X] = 1 }
	:: atomic { HOSTILE && ready[1] && acq[1] == 1 && alive[1] && !killed[1] -> evil = 1 }
	:: atomic { evil && ex[fp[1]] == 1 -> ex[fp[1]] = 0 }
	:: atomic { evil && alive[1] && (rec[fl[1]] & BIT(1)) -> rec[fl[1]] = rec[fl[1]] & ~BIT(1) }
	:: atomic { evil && alive[X] && CHANCE && !given -> given = 1 }
	:: atomic { evil && alive[X] && CHANCE && !(rec[fl[1]] & BIT(X)) -> rec[fl[1]] = rec[fl[1]] | BIT(X) }
	od }

active proctype monitor() {        /* what holds at every moment */
end:	if :: atomic { UP(1) && UP(2) -> assert(false) }      /* two daemons past ready */
	:: atomic { REMOVALS == 1 && ((UP(1) && !SEEN(1)) || (UP(2) && !SEEN(2))) -> assert(false) } /* hidden */
	:: atomic { REMOVALS == 1 && ((HOLDS(1) && !evil && at[0] == fp[1] && text[fp[1]] && text[fp[1]] != num[1]) ||
		(HOLDS(2) && at[0] == fp[2] && text[fp[2]] && text[fp[2]] != num[2])) -> assert(false) } /* an earlier pid */
	fi }

init { atomic {
	if :: true                 /* a daemon with pid 3 died here before, and perhaps 3 is the bystander's now */
		-> at[0] = 1; at[1] = 2; text[1] = 3; text[2] = 3 :: true fi;
	if :: true -> num[X] = 3; alive[X] = 1 :: true fi;
	run start(1); run world();
	if :: STARTS == 2 -> run start(2) :: else fi;
	if :: STOPS >= 1 -> run stop(4) :: else fi;
	if :: STOPS == 2 -> run stop(5) :: else fi } }
