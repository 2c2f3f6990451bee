import java.io.File;
import java.util.Arrays;
import java.util.Locale;

/** Looks for a bank's concepts in pictures: Concepts concepts.onnx PICTURE... */
final class Concepts {
  private Concepts() {}

  public static void main(String[] words) throws Exception {
    if (words.length < 2) {
      System.err.println("usage: Concepts concepts.onnx PICTURE...");
      System.exit(2);
    }
    try (Model model = new Model(words[0])) {
      for (String path : Arrays.asList(words).subList(1, words.length)) {
        look(model, new File(path));
      }
    }
  }

  private static void look(Model model, File file) throws Exception {
    Pictures.Pixels picture = Pictures.read(file, model.mode, model.pixels);
    Model.Found found = model.look(picture.rgb(), picture.width(), picture.height());
    String strange = found.loss() > model.limit ? ", not explained by these concepts" : "";
    System.out.printf(Locale.ROOT, "%s: loss %.4f%s%n", file, found.loss(), strange);
    String stem = file.getName().replaceFirst("\\.[^.]*$", "");
    for (int number = 0; number < model.names.size(); number++) {
      int[] box = found.boxes()[number];
      System.out.printf(
          Locale.ROOT,
          "  '%s' score %.4f box %d %d %d %d%n",
          model.names.get(number), found.scores()[number], box[0], box[1], box[2], box[3]);
      Pictures.write(found.heatmaps()[number], new File(stem + "-concept-" + number + ".png"));
    }
  }
}
