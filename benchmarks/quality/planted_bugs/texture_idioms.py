"""Bugs with textures and surfaces, which are those that `textures` describes."""

from __future__ import annotations

from .case import Case

_AT = "int r = t / 8, c = t % 8;\n"

CASES = (
    Case("an offset of a surface in elements", "memcheck", _AT + "surf2Dwrite(1.0f, surf, c{{| * 4}}, r);  // BUG", textures=True),
    Case("a surface written beyond its rows", "memcheck",
         _AT + "surf2Dwrite(1.0f, surf, c * 4, r{{ + n / 64|}});  // BUG", textures=True),
    Case("a halo read from a surface", "memcheck",
         _AT + "float v;\nsurf2Dread(&v, surf, (c - 1) * 4, r{{|, cudaBoundaryModeClamp}});  // BUG\ny[t] = v;", textures=True),
    Case("a picture written and fetched in one launch", "racecheck",
         _AT + "surf2Dwrite(2.0f, surf, c * 4, r);\n__syncthreads();\ny[t] = tex2D<float>({{canvas|tex}}, 7 - c, r);  // BUG",
         textures=True),
    Case("a surface updated twice in one launch", "racecheck",
         _AT + "float v;\nsurf2Dread(&v, surf, c * 4, r);  // BUG\nsurf2Dwrite(v + 1, surf, c * 4, r);\n"
         "{{surf2Dread(&v, surf, c * 4, r);  // BUG\nsurf2Dwrite(v * 2, surf, c * 4, r);|}}", textures=True),
    Case("memory written and fetched in one launch", "racecheck",
         "y[t] = t;\n__syncthreads();\nx[t] = tex1Dfetch<int>(linear, {{63 - t|64 + t}});  // BUG", textures=True),
    Case("two threads at one element of a surface", "racecheck",
         _AT + "surf2Dwrite((float)t, surf, c {{/ 2|}} * 4, r);  // BUG", textures=True),
    Case("a surface read by one block and written by another", "racecheck",
         "int c = t % 8;\nfloat v = 1;\nif (blockIdx.x == 0) surf2Dwrite(v, surf, c * 4, 0);  // BUG\n"
         "else surf2Dread(&v, surf, c * 4, {{0|1}});  // BUG\ny[64 * blockIdx.x + t] = v;", grid=2, block=8, textures=True),
    Case("integers fetched as floats", "memcheck",
         _AT + "y[t] = tex2D<{{float|unsigned char}}>(bytes, c, r);  // BUG", textures=True),
    Case("layers fetched as a plane", "memcheck",
         _AT + "y[t] = {{tex2D<float>(layers, c, r)|tex2DLayered<float>(layers, c, r, 0)}};  // BUG", textures=True),
    Case("a layer too many", "memcheck",
         _AT + "for (int k = 0; k {{<=|<}} 3; k++)\n  y[t] += tex2DLayered<float>(layers, c, r, k);  // BUG", textures=True),
    Case("an array that nothing was copied to", "initcheck",
         _AT + "y[t] = tex2D<float>({{fresh|tex}}, c, r);  // BUG", textures=True),
    Case("a surface in the place of a texture", "memcheck",
         _AT + "y[t] = tex2D<float>({{surf|canvas}}, c + 0.5f, r + 0.5f);  // BUG", textures=True),
)
