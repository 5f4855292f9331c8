"""PyTorch: nn.TransformerEncoderLayer/DecoderLayer, nn.LSTM.  Option compile=0/1, bf16=0/1 (autocast),
packed=0/1 (the classifier skips padding)."""

import os

import common as C
import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))


class Transformer(nn.Module):
    def __init__(self, c, vocab):
        super().__init__()
        self.c = c
        self.emb = nn.Embedding(vocab, c["d"])
        nn.init.normal_(self.emb.weight, std=c["d"] ** -0.5)
        kw = dict(batch_first=True, norm_first=True, dropout=c["dropout"])
        self.enc = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(c["d"], c["heads"], c["ff"], **kw),
            c["enc"],
            nn.LayerNorm(c["d"]),
            enable_nested_tensor=False,
        )
        self.dec = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(c["d"], c["heads"], c["ff"], **kw), c["dec"], nn.LayerNorm(c["d"])
        )
        self.register_buffer("pos", torch.from_numpy(C.sinusoid(512, c["d"])))
        self.drop = nn.Dropout(c["dropout"])

    def embed(self, ids):
        return self.drop(self.emb(ids) * self.c["d"] ** 0.5 + self.pos[: ids.shape[1]])

    def forward(self, src, tgt):
        pad = src == C.PAD
        memory = self.enc(self.embed(src), src_key_padding_mask=pad)
        causal = torch.ones(tgt.shape[1], tgt.shape[1], dtype=torch.bool).triu(1)
        y = self.dec(
            self.embed(tgt), memory, tgt_mask=causal, memory_key_padding_mask=pad, tgt_is_causal=True
        )
        return F.linear(y, self.emb.weight)


class RNNAttn(nn.Module):
    """biLSTM encoder; LSTMCell decoder with Bahdanau attention inside the recurrence (post: after it)."""

    def __init__(self, c, vocab, post=False):
        super().__init__()
        d, e = c["d"], c["emb"]
        self.post = post
        self.src_emb, self.tgt_emb = nn.Embedding(vocab, e), nn.Embedding(vocab, e)
        self.enc = nn.LSTM(e, d, bidirectional=True, batch_first=True)
        self.cell = nn.LSTM(e, d, batch_first=True) if post else nn.LSTMCell(e + 2 * d, d)
        self.wq, self.wk, self.v = (
            nn.Linear(d, d, bias=False),
            nn.Linear(2 * d, d),
            nn.Linear(d, 1, bias=False),
        )
        self.mix = nn.Linear(2 * d if post else 3 * d, d)
        self.out = nn.Linear(d, vocab)
        self.drop = nn.Dropout(c["dropout"])

    def forward(self, src, tgt):
        bias = (src == C.PAD).float() * -1e9
        memory, _ = self.enc(self.drop(self.src_emb(src)))
        keys, x = self.wk(memory), self.drop(self.tgt_emb(tgt))
        if self.post:
            y, _ = self.cell(x)
            s = self.v(torch.tanh(keys[:, None] + self.wq(y)[:, :, None]))[..., 0] + bias[:, None]
            y = torch.cat([y, s.softmax(-1) @ keys], -1)
        else:
            h = c = x.new_zeros(len(src), keys.shape[-1])
            outs = []
            for t in range(tgt.shape[1]):
                s = self.v(torch.tanh(keys + self.wq(h)[:, None]))[..., 0] + bias
                context = (s.softmax(-1)[:, None] @ memory)[:, 0]
                h, c = self.cell(torch.cat([x[:, t], context], -1), (h, c))
                outs.append(torch.cat([h, context], -1))
            y = torch.stack(outs, 1)
        return self.out(self.drop(torch.tanh(self.mix(y))))


class GPT(nn.Module):
    def __init__(self, c, vocab):
        super().__init__()
        self.emb, self.pos = nn.Embedding(vocab, c["d"]), nn.Embedding(c["seq"], c["d"])
        nn.init.normal_(self.emb.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            c["d"], c["heads"], c["ff"], batch_first=True, norm_first=True, dropout=c["dropout"]
        )
        self.body = nn.TransformerEncoder(
            layer, c["layers"], nn.LayerNorm(c["d"]), enable_nested_tensor=False
        )
        self.drop = nn.Dropout(c["dropout"])

    def forward(self, ids):
        n = ids.shape[1]
        x = self.drop(self.emb(ids) + self.pos.weight[:n])
        causal = torch.ones(n, n, dtype=torch.bool).triu(1)
        return F.linear(self.body(x, mask=causal, is_causal=True), self.emb.weight)


class LSTMNet(nn.Module):
    def __init__(self, c, vocab, out, layers, last, packed=False):
        super().__init__()
        self.last, self.packed = last, packed
        self.emb, self.lstm = nn.Embedding(vocab, c["d"]), nn.LSTM(c["d"], c["d"], layers, batch_first=True)
        self.drop, self.out = nn.Dropout(c["dropout"] if not last else 0.0), nn.Linear(c["d"], out)

    def forward(self, ids):
        x = self.emb(ids)
        if self.packed:
            lengths = (ids != C.PAD).sum(1).cpu()
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, (h, _) = self.lstm(x)
        return self.out(self.drop(h[-1] if self.last else y))


def make(model, vocab, packed=False):
    c = C.MODELS[model]
    kind = c["kind"]
    if kind == "transformer":
        return Transformer(c, vocab)
    if kind == "rnn":
        return RNNAttn(c, vocab, post=model == "RNN-post")
    if kind == "lm_gpt":
        return GPT(c, vocab)
    if kind == "lm_lstm":
        return LSTMNet(c, vocab, vocab, c["layers"], False)
    return LSTMNet({**c, "dropout": 0.0}, vocab, c["classes"], 1, True, packed)


class System:
    def __init__(self, model, vocab, compile="0", bf16="0", packed="0"):
        torch.manual_seed(0)
        self.kind = C.MODELS[model]["kind"]
        self.net = make(model, vocab, packed == "1")
        self.params = sum(p.numel() for p in self.net.parameters())
        self.opt = torch.optim.Adam(self.net.parameters(), 1e-3)
        self.bf16 = bool(int(bf16))
        self.fwd = torch.compile(self.net) if int(compile) else self.net

    def loss(self, b):
        ids = [torch.from_numpy(b.src).long()]
        if self.kind in ("transformer", "rnn"):
            ids.append(torch.from_numpy(b.tgt_in).long())
        y = torch.from_numpy(b.tgt_out).long()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.fwd(*ids)
        ignore = -100 if self.kind == "cls" else C.PAD
        return F.cross_entropy(logits.flatten(0, -2).float(), y.flatten(), ignore_index=ignore)

    def train_step(self, b):
        self.net.train()
        self.opt.zero_grad(set_to_none=True)
        loss = self.loss(b)
        loss.backward()
        self.opt.step()
        return loss.detach()

    @torch.inference_mode()
    def predict(self, x):
        self.net.eval()
        return self.fwd(torch.from_numpy(x).long()).numpy()

    @torch.inference_mode()
    def decode(self, src, steps, beam):
        """nn.Transformer has no cache: the whole decoder over the growing prefix at each step."""
        assert beam == 1, "nn.Transformer has no beam search"
        self.net.eval()
        src = torch.from_numpy(src).long()
        pad = src == C.PAD
        memory = self.net.enc(self.net.embed(src), src_key_padding_mask=pad)
        tgt = torch.full((len(src), 1), C.BOS)
        for _ in range(steps):
            n = tgt.shape[1]
            causal = torch.ones(n, n, dtype=torch.bool).triu(1)
            y = self.net.dec(
                self.net.embed(tgt), memory, tgt_mask=causal, memory_key_padding_mask=pad, tgt_is_causal=True
            )
            tgt = torch.cat([tgt, F.linear(y[:, -1], self.net.emb.weight).argmax(-1, keepdim=True)], 1)
        return tgt[:, 1:].numpy()


def build(model, vocab, **options):
    return System(model, vocab, **options)
