"""Hugging Face transformers: MarianMT (T-*), GPT2 (LM-GPT) of the same sizes.  Options compile=0/1, bart=0/1."""

import os

import common as C
import torch
import torch.nn.functional as F
import transformers

torch.set_num_threads(os.cpu_count())
transformers.logging.set_verbosity_error()


class System:
    def __init__(self, model, vocab, compile="0", bart="0"):
        torch.manual_seed(0)
        c = C.MODELS[model]
        self.kind = c["kind"]
        if self.kind == "lm_gpt":
            self.net = transformers.GPT2LMHeadModel(
                transformers.GPT2Config(
                    vocab_size=vocab,
                    n_positions=c["seq"],
                    n_embd=c["d"],
                    n_layer=c["layers"],
                    n_head=c["heads"],
                    n_inner=c["ff"],
                    resid_pdrop=0.1,
                    embd_pdrop=0.1,
                    attn_pdrop=0.1,
                    bos_token_id=C.BOS,
                    eos_token_id=C.EOS,
                    use_cache=False,
                )
            )
        elif self.kind == "transformer":
            common = dict(
                vocab_size=vocab,
                d_model=c["d"],
                encoder_layers=c["enc"],
                decoder_layers=c["dec"],
                encoder_ffn_dim=c["ff"],
                decoder_ffn_dim=c["ff"],
                encoder_attention_heads=c["heads"],
                decoder_attention_heads=c["heads"],
                dropout=c["dropout"],
                attention_dropout=c["dropout"],
                activation_function="relu",
                max_position_embeddings=512,
                pad_token_id=C.PAD,
                bos_token_id=C.BOS,
                eos_token_id=C.EOS,
                decoder_start_token_id=C.BOS,
                forced_eos_token_id=None,
                scale_embedding=True,
            )
            if int(bart):
                self.net = transformers.BartForConditionalGeneration(transformers.BartConfig(**common))
            else:
                self.net = transformers.MarianMTModel(transformers.MarianConfig(**common))
        else:
            raise NotImplementedError(model)
        self.params = sum(p.numel() for p in self.net.parameters() if p.requires_grad)
        self.opt = torch.optim.Adam(self.net.parameters(), 1e-3)
        self.fwd = torch.compile(self.net) if int(compile) else self.net

    def train_step(self, b):
        self.net.train()
        self.opt.zero_grad(set_to_none=True)
        src, y = torch.from_numpy(b.src).long(), torch.from_numpy(b.tgt_out).long()
        if self.kind == "lm_gpt":
            logits = self.fwd(input_ids=src).logits
        else:
            logits = self.fwd(
                input_ids=src,
                attention_mask=(src != C.PAD).long(),
                decoder_input_ids=torch.from_numpy(b.tgt_in).long(),
                use_cache=False,
            ).logits
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=C.PAD)
        loss.backward()
        self.opt.step()
        return loss.detach()

    @torch.inference_mode()
    def decode(self, src, steps, beam):
        self.net.eval()
        src = torch.from_numpy(src).long()
        out = self.net.generate(
            input_ids=src,
            attention_mask=(src != C.PAD).long(),
            num_beams=beam,
            do_sample=False,
            max_new_tokens=steps,
            min_new_tokens=steps,
        )
        return out[:, 1:].numpy()


def build(model, vocab, **options):
    return System(model, vocab, **options)
