"""JoeyNMT 2.3: its transformer and its recurrent (Bahdanau, input feeding) model."""

import logging
import os
from types import SimpleNamespace

import common as C
import numpy as np
import torch
from joeynmt.batch import Batch as JoeyBatch
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.vocabulary import Vocabulary

logging.disable(logging.WARNING)
torch.set_num_threads(os.cpu_count())


ORDER = np.array([1, 2, 3, 0])  # JoeyNMT fixes 0 unk, 1 pad, 2 bos, 3 eos
PAD, BOS, EOS, UNK = 1, 2, 3, 0


def renumber(ids):
    return torch.from_numpy(np.where(ids < 4, ORDER[np.minimum(ids, 3)], ids))


def vocabulary(size):
    symbols = SimpleNamespace(
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        sep_token=None,
        unk_id=UNK,
        pad_id=PAD,
        bos_id=BOS,
        eos_id=EOS,
        sep_id=None,
        lang_tags=[],
    )
    return Vocabulary([f"w{i}" for i in range(size - 4)], symbols)


class System:
    def __init__(self, model, vocab):
        torch.manual_seed(0)
        c = C.MODELS[model]
        if c["kind"] == "transformer":

            def side(n):
                return dict(
                    type="transformer",
                    num_layers=n,
                    num_heads=c["heads"],
                    hidden_size=c["d"],
                    ff_size=c["ff"],
                    dropout=c["dropout"],
                    layer_norm="pre",
                    embeddings=dict(embedding_dim=c["d"], scale=True, dropout=c["dropout"]),
                )

            cfg = dict(
                encoder=side(c["enc"]),
                decoder=side(c["dec"]),
                tied_embeddings=True,
                tied_softmax=True,
                initializer="xavier_uniform",
                embed_initializer="xavier_uniform",
            )
        elif c["kind"] == "rnn":
            emb = dict(embedding_dim=c["emb"], scale=False, dropout=c["dropout"])
            cfg = dict(
                encoder=dict(
                    type="recurrent",
                    rnn_type="lstm",
                    num_layers=1,
                    hidden_size=c["d"],
                    bidirectional=True,
                    dropout=c["dropout"],
                    embeddings=emb,
                ),
                decoder=dict(
                    type="recurrent",
                    rnn_type="lstm",
                    num_layers=1,
                    hidden_size=c["d"],
                    dropout=c["dropout"],
                    hidden_dropout=c["dropout"],
                    input_feeding=True,
                    attention="bahdanau",
                    init_hidden="bridge",
                    embeddings=dict(emb),
                ),
            )
        else:
            raise NotImplementedError(model)
        v = vocabulary(vocab)
        assert len(v) == vocab, len(v)
        self.net = build_model(cfg, v, v)
        self.net.loss_function = ("crossentropy", 0.0)
        self.params = sum(p.numel() for p in self.net.parameters())
        self.opt = torch.optim.Adam(self.net.parameters(), 1e-3)

    def batch(self, src, tgt=None):
        src = renumber(src)
        j = JoeyBatch(
            src=src,
            src_length=(src != PAD).sum(1),
            src_prompt_mask=None,
            trg=None if tgt is None else renumber(tgt),
            trg_prompt_mask=None,
            indices=torch.arange(len(src)),
            device=torch.device("cpu"),
            pad_index=PAD,
            eos_index=EOS,
            is_train=tgt is not None,
        )
        j.sort_by_src_length()
        return j

    def train_step(self, b):
        self.net.train()
        self.opt.zero_grad(set_to_none=True)
        j = self.batch(b.src, np.concatenate([b.tgt_in[:, :1], b.tgt_out], 1))
        loss = self.net(return_type="loss", **vars(j))[0] / j.ntokens
        loss.backward()
        self.opt.step()
        return loss.detach()

    def decode(self, src, steps, beam):
        self.net.eval()
        j = self.batch(src)
        return search(
            model=self.net,
            batch=j,
            max_output_length=steps,
            min_output_length=steps,
            beam_size=beam,
            beam_alpha=1.0,
        )[0]


def build(model, vocab, **options):
    return System(model, vocab, **options)
