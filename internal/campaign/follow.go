package campaign

import (
	"context"
	"sync"
	"time"

	"github.com/llenergymeasure/llem/internal/announce"
	"github.com/llenergymeasure/llem/internal/store"
)

// followEvery is how often a worker looks at what others have finished.
const followEvery = 2 * time.Second

// follow begins to follow the other workers, if there may be some. The function that it returns ends that.
func (s *schedule) follow(ctx context.Context) (stop func()) {
	if s.folder.worker == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	all := s.folder.others(s.Options)
	ended.Go(func() { s.folder.followOthers(ctx, all, s.Options) })
	return func() { cancel(); ended.Wait() }
}

// others returns a follower that leaves out the runs that are there: the event that opens the study has them.
func (f *folder) others(o *Options) *announce.Follower {
	known := map[store.RunKey]bool{}
	for key := range f.made {
		known[key] = f.wasMade(key, o.RetryFailed)
	}
	return announce.NewFollower(f.path(), f.study, o.Shard, known)
}

// followOthers emits the runs that other workers finish until the context ends.
func (f *folder) followOthers(ctx context.Context, all *announce.Follower, o *Options) {
	for {
		end := f.clock.Sleep(ctx, followEvery)
		news, _ := all.Next() // of an error, the worker itself finds out
		for _, r := range news {
			if r.Worker != f.worker.Name() {
				o.emit(r)
			}
		}
		if end != nil {
			return
		}
	}
}
