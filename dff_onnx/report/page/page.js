// Puts the page together.

startSections();
startControls();
startPictures();
startLarge();
refreshLegend();
refreshConcepts();
refresh();
document.documentElement.dataset.filled = "";
addEventListener("hashchange", followAddress);
followAddress();
