/* The claim protocol of a spool: one job, three servers, one person who steers. See README.md.

   A directory is a byte: 0 if the ticket is not in it, else the claim number in its name, plus one.
   Every change of state is one rename, MOVE(before, move, after), named as `MOVES` of qtrl_spool/job.py
   names it. A pause, of any length, is a process that takes no step: so is a server that is frozen.

   -DSTAGES        the first two are stages of one server: they claim one after the other, but one of them may
                   still be busy with an old claim when the other has a new one
   -DCRASHES=… LOST, TAKEOVERS, PAUSES, STEPS: how much of each happens at most
   Mutants, which spin must find wrong:
   -DNO_NUMBER     the claim number is not in the ticket's name
   -DNO_LOOK       what rename says is believed; the target is not looked at
   -DCHECK_FIRST   a ticket is looked for, then copied, then removed: not renamed
   -DNO_SETTLE     a result that its server did not publish is published by nobody else
*/
#ifndef SERVERS
#define SERVERS 3
#endif
#define CLAIMS 3      /* after which a job that was given back has failed */
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOST
#define LOST 1        /* replies of renames that get lost */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif
#ifndef PAUSES
#define PAUSES 0
#endif
#ifndef STEPS
#define STEPS 0       /* of the person who steers */
#endif

#define INCOMING 0
#define REJECTED 1
#define QUEUE 2
#define HELD 3
#define DONE 4
#define FAILED 5
#define CANCELLED 6
#define RUNNING 7   /* the folder of the first name; the others follow */
#define PLACES (RUNNING + 3)

#define at_new INCOMING
#define at_rejected REJECTED
#define at_queued QUEUE
#define at_paused QUEUE    /* a paused job waits in the queue; only its record tells */
#define at_held HELD
#define at_running (RUNNING + name)
#define at_done DONE
#define at_failed FAILED
#define at_cancelled CANCELLED

#ifdef NO_NUMBER
#define NEXT(n) (n)
#else
#define NEXT(n) (n + 1)
#endif

#ifdef STAGES
#define NAME_OF(me) (me / 2)
#define MAY_CLAIM !claiming
#define CLAIMING(yes) claiming = yes
bool claiming;
#else
#define NAME_OF(me) (me)
#define MAY_CLAIM true
#define CLAIMING(yes) skip
#endif

byte dir[PLACES];           /* the spool; a name is the claim number plus one */
bool written[CLAIMS + 1];   /* result.c<n>.h5 */
byte author[CLAIMS + 1];    /* which process wrote it */
bool published;             /* result.h5 */
bool cancelling;            /* somebody wants the running job cancelled */
bool holding;               /* somebody wants the running job parked */
bool is_paused;             /* the job's last event is a pause */

byte claims, publications;  /* how often, which nobody in the spool knows */
byte crashes, lost, takeovers, pauses, steps;

#define ENDED (dir[DONE] || dir[FAILED] || dir[CANCELLED] || dir[REJECTED])
#define SETTLED (ENDED && (!dir[DONE] || published))
#define TICKETS ((dir[0] != 0) + (dir[1] != 0) + (dir[2] != 0) + (dir[3] != 0) + (dir[4] != 0) \
                 + (dir[5] != 0) + (dir[6] != 0) + (dir[7] != 0) + (dir[8] != 0) + (dir[9] != 0))

inline arrived(where) {
  is_paused = false;
  if
  :: where >= RUNNING -> claims++
  :: else
  fi
}

/* One rename of the ticket whose name says `was`; `moved` is what its caller then believes. */
inline rename(from, was, to, becomes) {
#ifdef CHECK_FIRST
  moved = (dir[from] == was + 1);
  if
  :: moved -> atomic { dir[to] = becomes + 1; arrived(to) }; atomic { dir[from] = 0; assert(TICKETS == 1) }
  :: else
  fi
#else
  atomic {
    moved = (dir[from] == was + 1);
    if
    :: moved ->
       dir[from] = 0;
       dir[to] = becomes + 1;
       arrived(to);
       assert(TICKETS == 1);                      /* never lost, never there twice */
       if                                         /* the reply may get lost */
       :: lost < LOST -> lost++; moved = false
       :: true
       fi
    :: else
    fi
  };
#ifndef NO_LOOK
  moved = (dir[to] == becomes + 1)                /* whatever rename said: is the target there? */
#endif
#endif
}
#define MOVE(before, move, after, n, m) rename(at_##before, n, at_##after, m)

/* What becomes of a claim that was given up: the requests of people and the limit of attempts decide. */
inline give_back(k) {
  if
  :: cancelling -> MOVE(running, cancel, cancelled, k, k)
  :: !cancelling && claims >= CLAIMS -> MOVE(running, fail, failed, k, k)
  :: !cancelling && claims < CLAIMS -> MOVE(running, requeue, queued, k, k)
  fi
}

inline publish(k) {
  if
  :: !published && written[k] ->                  /* looked; and then, a moment later, */
     atomic {                                     /* one rename, result.c<n>.h5 to result.h5 */
       if
       :: written[k] -> written[k] = false; published = true; publications++; assert(publications == 1)
       :: else
       fi
     }
  :: else
  fi
}

#define MAY_CRASH (me == 0 && crashes < CRASHES)   /* as good as any other: they are all alike */

#define TAKE_OVER(other) \
     atomic { takeovers < TAKEOVERS && other != NAME_OF(me) && dir[RUNNING + other] -> \
              takeovers++; n = dir[RUNNING + other] - 1; name = other }; \
     give_back(n); \
     name = NAME_OF(me)

proctype server(byte me) {
  byte mine, n, name = NAME_OF(me);
  bool moved, was_paused;

start:                                            /* it has no memory: it is new, or it has died */
  n = 0; mine = 0; moved = false; was_paused = false;
  if
  :: atomic { dir[RUNNING + name] -> n = dir[RUNNING + name] - 1 }; give_back(n)
  :: dir[RUNNING + name] == 0
  fi;

idle:
  do
  :: n || mine || moved || was_paused -> d_step { n = 0; mine = 0; moved = false; was_paused = false }
  :: atomic {
       dir[QUEUE] && claims < CLAIMS && MAY_CLAIM ->
       CLAIMING(true); n = dir[QUEUE] - 1; mine = NEXT(n); was_paused = is_paused
     };
     if
     :: was_paused -> MOVE(paused, claim, running, n, mine)
     :: !was_paused -> MOVE(queued, claim, running, n, mine)
     fi;
     CLAIMING(false);
     if
     :: moved -> goto work
     :: else
     fi
  :: TAKE_OVER(0)                                 /* a heartbeat stands still: dead, frozen, or only slow */
  :: TAKE_OVER(1)
  :: TAKE_OVER(2)
#ifndef NO_SETTLE
  :: atomic { dir[DONE] && !published -> n = dir[DONE] - 1 }; publish(n)
#endif
  :: SETTLED -> break
  od;
  goto stop;

work:
  if                                              /* looked at before each batch, and before publishing */
  :: dir[RUNNING + name] == mine + 1
  :: dir[RUNNING + name] != mine + 1 -> goto lose
  :: MAY_CRASH -> crashes++; goto start
  fi;
  if
  :: cancelling -> MOVE(running, cancel, cancelled, mine, mine)
  :: !cancelling && holding && claims < CLAIMS ->
     MOVE(running, hold, held, mine, mine);
     if
     :: moved -> holding = false
     :: else
     fi
  :: !cancelling -> MOVE(running, fail, failed, mine, mine)
  :: !cancelling && pauses < PAUSES && claims < CLAIMS ->
     pauses++;
     MOVE(running, pause, paused, mine, mine);
     if
     :: moved -> is_paused = true
     :: else
     fi
  :: !cancelling ->
     atomic { written[mine] = true; author[mine] = me };
     if
     :: MAY_CRASH -> crashes++; goto start
     :: true
     fi;
     MOVE(running, commit, done, mine, mine);
     if
     :: moved ->
        assert(author[mine] == me || published);  /* what is published is what this claim wrote */
        if
        :: MAY_CRASH -> crashes++; goto start
        :: publish(mine)
        fi
     :: else
     fi
  fi;
  if
  :: moved -> goto idle
  :: else
  fi;
lose:                                             /* somebody else has it: nothing is published, */
  written[mine] = false;                          /* and what this claim wrote is taken away */
  goto idle;
stop:
  skip
}

/* Somebody who holds, releases, moves and cancels; some server carries it out. */
proctype person() {
  byte n, name;
  bool moved, was_paused;
  do
  :: n || moved || was_paused -> d_step { n = 0; moved = false; was_paused = false }
  :: atomic { dir[QUEUE] && steps < STEPS -> steps++; n = dir[QUEUE] - 1; was_paused = is_paused };
     if
     :: was_paused -> MOVE(paused, hold, held, n, n)
     :: was_paused -> MOVE(paused, move, paused, n, n)
     :: was_paused -> MOVE(paused, cancel, cancelled, n, n)
     :: !was_paused -> MOVE(queued, hold, held, n, n)
     :: !was_paused -> MOVE(queued, move, queued, n, n)
     :: !was_paused -> MOVE(queued, cancel, cancelled, n, n)
     fi
  :: atomic { dir[HELD] -> n = dir[HELD] - 1 };
     if
     :: MOVE(held, release, queued, n, n)
     :: steps < STEPS -> steps++; MOVE(held, move, held, n, n)
     :: steps < STEPS -> steps++; MOVE(held, cancel, cancelled, n, n)
     fi
  :: atomic { !ENDED && steps < STEPS -> steps++; cancelling = true }
  :: atomic { !ENDED && steps < STEPS -> steps++; holding = true }
  :: ENDED -> break
  od
}

init {
  byte n, name, me;
  bool moved;
  dir[INCOMING] = 1;                              /* which server accepts it was decided by a rename, too */
  if
  :: MOVE(new, accept, queued, n, n)
  :: MOVE(new, reject, rejected, n, n)
  fi;
  atomic {
    for (me : 0 .. SERVERS - 1) {
      run server(me)
    };
    run person()
  };
  timeout -> assert(SETTLED)                      /* when nobody can take a step, the job has come to its end */
}
