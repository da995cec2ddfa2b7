package study

import "hash/maphash"

// pool keeps one copy of each section, so that a million experiments share the few
// that differ, and equal sections are the same pointer.
type pool[T comparable] struct {
	last *T
	// all finds a section by its hash, or by one of the numbers after it.
	all map[uint64]*T
}

// poolSeed is that of the hashes in all pools.
var poolSeed = maphash.MakeSeed()

func (p *pool[T]) share(section *T) *T {
	if p.last != nil && *p.last == *section {
		return p.last
	}
	if p.all == nil {
		p.all = map[uint64]*T{}
	}
	for h := maphash.Comparable(poolSeed, *section); ; h++ {
		shared, ok := p.all[h]
		if !ok {
			own := *section
			shared = &own
			p.all[h] = shared
		}
		if *shared == *section {
			p.last = shared
			return shared
		}
	}
}

// pools are the sections of every backend.
type pools struct {
	embedded pool[EmbeddedSection]
	pytorch  pool[PyTorchSection]
	vllm     pool[VLLMSection]
	sglang   pool[SGLangSection]
	tensorrt pool[TensorRTSection]
	llamacpp pool[LlamaCppSection]
	fake     pool[FakeSection]
}

// experiment gives the settings the form of an experiment with the section of its
// backend alone.
func (p *pools) experiment(s *settings) Experiment {
	e := s.Experiment
	switch e.Backend {
	case Embedded:
		e.Embedded = p.embedded.share(&s.embedded)
	case PyTorch:
		e.PyTorch = p.pytorch.share(&s.pytorch)
	case VLLM:
		e.VLLM = p.vllm.share(&s.vllm)
	case SGLang:
		e.SGLang = p.sglang.share(&s.sglang)
	case TensorRT:
		e.TensorRT = p.tensorrt.share(&s.tensorrt)
	case LlamaCpp:
		e.LlamaCpp = p.llamacpp.share(&s.llamacpp)
	case Fake:
		e.Fake = p.fake.share(&s.fake)
	}
	return e
}
